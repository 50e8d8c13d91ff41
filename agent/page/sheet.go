package page

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"edged/agent/status"

	"github.com/boombuler/barcode/qr"
)

// Sheet is what a modality has to be told so that it sends here.
type Sheet struct {
	FacilityCode string
	Serial       string // short name of this appliance's data directory
	Contact      string // whom to call
	AETitle      string
	Networks     []Network
	Port         int // 0: there is none without TLS
	TLSPort      int // 0: there is none
	TLSPrint     string
	TLSClients   bool // a certificate of the modality's own is demanded
	PagePrint    string
	Page         string // where browsers find this page, as https://10.0.0.5:8443; "": on the machine itself alone
	MaxPDU       int
	MaxTotal     int // associations
	MaxDevice    int
	Idle         time.Duration // an association without a message ends
	Connect      time.Duration // to negotiate
	NTP          []string
	Device       *SheetDevice
}

// Network is where this appliance can be reached.
type Network struct{ Interface, Address, Mask, Gateway string }

// SheetDevice is a modality as it is registered here.
type SheetDevice struct {
	Title, Name, Address string
	Port                 int
	Priority             string
	Services             []string
	Commitment           string // archived, received or off
	NewAssociation       bool   // the answer comes on an association of its own
	TLS                  string
	Echo                 time.Time // the last C-ECHO of it, or of us to it, that was answered
}

// port is that of most modalities.
func (s Sheet) port() int { return cmp.Or(s.Port, s.TLSPort) }

type sheetView struct {
	Facility  string
	Code      string
	Date      string
	Serial    string
	Contact   string
	AETitle   string
	Port      string
	AddressIs string // what stands above the address, in each language of the sheet
	PortIs    string
	DateIs    string
	SerialIs  string
	Networks  []Network
	Columns   []sheetColumn
	QR        string
	Bilingual string // where the sheet in two languages is; "" on that itself
	Single    string
}

// sheetColumn is the sheet in one language; two stand on the one for Bolzano.
type sheetColumn struct {
	Lang  string
	Title string
	Parts []sheetPart
	Steps []string
	Signs []string
	About string
	Scan  string
}

type sheetPart struct {
	Title string
	Rows  []sheetRow
}

type sheetRow struct{ Label, Says string }

func (p *Page) sheetPage(rq *request) (any, error) {
	title := rq.PathValue("ae")
	s, ok := p.cfg.Devices.Sheet(title)
	if !ok {
		return nil, errNotFound
	}
	both := rq.URL.Query().Get("bilingual") != ""
	v := sheetViewOf(s, facts{Status: p.status(), Now: rq.Now}, rq.W, both)
	path := rq.URL.EscapedPath()
	if v.Single = path; !both {
		v.Single, v.Bilingual = "", path+"?bilingual=1"
	}
	v.QR = "/devices/sheet/qr.svg?ae=" + url.QueryEscape(title)
	return v, nil
}

// sheetViewOf is pure.
func sheetViewOf(s Sheet, f facts, w *words, both bool) sheetView {
	v := sheetView{Facility: status.Shown(f.Status.Facility.Name), Code: status.Shown(s.FacilityCode), Date: w.date(f.Now), Serial: s.Serial,
		Contact: status.Shown(s.Contact), AETitle: s.AETitle, Networks: s.Networks, Port: strconv.Itoa(s.port())}
	langs := []*words{w}
	if both {
		langs = []*words{catalogues["de"], catalogues["it"]}
	}
	v.DateIs, v.SerialIs = inEach(langs, "sheet.made"), inEach(langs, "sheet.serial")
	v.AddressIs, v.PortIs = inEach(langs, "sheet.address"), inEach(langs, "sheet.port")
	for _, in := range langs {
		v.Columns = append(v.Columns, columnOf(s, f, in))
	}
	return v
}

// inEach is a word in each language, once where they agree.
func inEach(langs []*words, id string) string {
	var said []string
	for _, in := range langs {
		if s := in.Say(id); !slices.Contains(said, s) {
			said = append(said, s)
		}
	}
	return strings.Join(said, " · ")
}

func columnOf(s Sheet, f facts, w *words) sheetColumn {
	c := sheetColumn{Lang: w.lang, Title: w.Say("sheet.steps"), Steps: stepsOf(s, w), Scan: w.Say("sheet.scan"), About: w.Say("sheet.about"),
		Signs: []string{w.Say("sheet.sign.installer"), w.Say("sheet.sign.technician")}}
	c.Parts = append(c.Parts, sheetPart{w.Say("sheet.here"), hereOf(s, f, w)})
	if s.Device != nil {
		c.Parts = append(c.Parts, sheetPart{w.Say("sheet.device"), registeredOf(*s.Device, f, w)})
	}
	c.Parts = append(c.Parts, sheetPart{w.Say("sheet.services"), servicesOf(s, w)}, sheetPart{w.Say("sheet.limits"), limitsOf(s, w)})
	return c
}

// stepsOf is what to do at the modality, one after the other.
func stepsOf(s Sheet, w *words) []string {
	address := w.Say("sheet.address.none")
	if len(s.Networks) > 0 {
		address = s.Networks[0].Address
	}
	steps := []string{w.Say("sheet.step.node", "ae", s.AETitle, "address", address, "port", strconv.Itoa(s.port()))}
	if s.Device != nil {
		steps = append(steps, w.Say("sheet.step.own", "ae", status.Shown(s.Device.Title)))
	} else {
		steps = append(steps, w.Say("sheet.step.admit"))
	}
	return append(steps, w.Say("sheet.step.echo"), w.Say("sheet.step.send"), w.Say("sheet.step.look"))
}

func hereOf(s Sheet, f facts, w *words) (rows []sheetRow) {
	row := func(id, says string) {
		if says != "" {
			rows = append(rows, sheetRow{w.Say(id), says})
		}
	}
	row("sheet.facility", strings.TrimSpace(status.Shown(f.Status.Facility.Name)+" "+status.Shown(s.FacilityCode)))
	row("sheet.serial", s.Serial)
	row("sheet.ae", s.AETitle)
	for _, n := range s.Networks {
		says := w.Say("sheet.network", "address", n.Address, "mask", n.Mask, "interface", n.Interface)
		if n.Gateway != "" {
			says += ", " + w.Say("sheet.gateway", "address", n.Gateway)
		}
		row("sheet.address", says)
	}
	if s.Port > 0 {
		row("sheet.port", strconv.Itoa(s.Port))
	}
	if s.TLSPort > 0 {
		id := "sheet.tls.server"
		if s.TLSClients {
			id = "sheet.tls.mutual"
		}
		row("sheet.tlsport", fmt.Sprintf("%d, %s", s.TLSPort, w.Say(id)))
		row("sheet.tlsprint", s.TLSPrint)
	}
	if len(s.NTP) > 0 {
		row("sheet.ntp", strings.Join(s.NTP, ", "))
	} else {
		row("sheet.ntp", w.Say("sheet.ntp.none"))
	}
	row("sheet.page", s.Page)
	row("sheet.pageprint", s.PagePrint)
	row("sheet.contact", cmp.Or(status.Shown(s.Contact), byHand))
	return rows
}

// byHand is a line to write on.
const byHand = "____________________"

func registeredOf(d SheetDevice, f facts, w *words) (rows []sheetRow) {
	row := func(id, says string) { rows = append(rows, sheetRow{w.Say(id), says}) }
	row("sheet.device.ae", status.Shown(d.Title))
	if d.Name != "" {
		row("sheet.device.name", status.Shown(d.Name))
	}
	if d.Address == "" {
		row("sheet.device.address", w.Say("sheet.device.any"))
	} else {
		row("sheet.device.address", d.Address)
	}
	if d.Port > 0 {
		row("sheet.device.port", strconv.Itoa(d.Port))
	} else {
		row("sheet.device.port", w.Say("sheet.device.noport"))
	}
	row("sheet.device.priority", w.Say("sheet.priority."+d.Priority))
	if d.TLS != "any" {
		row("sheet.device.tls", w.Say("sheet.device.tls."+d.TLS))
	}
	if d.Echo.IsZero() {
		row("sheet.device.echo", w.Say("sheet.device.noecho"))
	} else {
		row("sheet.device.echo", f.moment(w, d.Echo))
	}
	return rows
}

func servicesOf(s Sheet, w *words) (rows []sheetRow) {
	row := func(id, says string) { rows = append(rows, sheetRow{w.Say(id), says}) }
	port := strconv.Itoa(s.port())
	row("sheet.classes", w.Say("sheet.classes.all"))
	row("sheet.syntaxes", w.Say("sheet.syntaxes.all"))
	commitment := "archived"
	if s.Device != nil {
		commitment = s.Device.Commitment
	}
	says := w.Say("sheet.commitment." + commitment)
	if commitment != "off" {
		says = w.Say("sheet.commitment.role", "ae", s.AETitle, "port", port) + " " + says
		if s.Device != nil && s.Device.NewAssociation {
			says += " " + w.Say("sheet.commitment.new")
		}
	}
	row("sheet.commitment", says)
	row("sheet.mpps", w.Say("sheet.mpps.same", "ae", s.AETitle, "port", port))
	return rows
}

func limitsOf(s Sheet, w *words) (rows []sheetRow) {
	row := func(id, says string) { rows = append(rows, sheetRow{w.Say(id), says}) }
	row("sheet.pdu", w.Say("sheet.pdu.bytes", "n", w.number(int64(s.MaxPDU))))
	row("sheet.associations", w.Say("sheet.associations.n", "device", w.number(int64(s.MaxDevice)), "total", w.number(int64(s.MaxTotal))))
	row("sheet.timeouts", w.Say("sheet.timeouts.n", "connect", w.duration(s.Connect), "idle", w.duration(s.Idle)))
	return rows
}

// serveQR draws the address of a device's page: where the network finds it, else as the
// browser that asks reached it.
func (p *Page) serveQR(w http.ResponseWriter, rq *request) error {
	title := rq.URL.Query().Get("ae")
	s, ok := p.cfg.Devices.Sheet(title)
	if !ok {
		return errNotFound
	}
	base, path := s.Page, "/devices"
	if base == "" {
		base = "http://" + rq.Host
		if rq.TLS != nil {
			base = "https://" + rq.Host
		}
	}
	if title != "" {
		path = "/devices/of/" + url.PathEscape(title)
	}
	drawing, err := qrOf(base + path)
	if err != nil {
		return errNotFound // longer than a drawing holds
	}
	w.Header().Set("Content-Type", "image/svg+xml")
	w.Write([]byte(drawing)) // the client is gone when this fails
	return nil
}

// qrOf draws text with the margin of four modules that ISO/IEC 18004 asks for.
func qrOf(text string) (string, error) {
	code, err := qr.Encode(text, qr.M, qr.Unicode)
	if err != nil {
		return "", err
	}
	side := code.Bounds().Dx()
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" shape-rendering="crispEdges"><rect width="100%%" height="100%%" fill="#fff"/><path d="`, side+8, side+8)
	for y := range side {
		for x := range side {
			if r, _, _, _ := code.At(x, y).RGBA(); r == 0 {
				fmt.Fprintf(&b, "M%d %dh1v1h-1z", x+4, y+4)
			}
		}
	}
	b.WriteString(`"/></svg>`)
	return b.String(), nil
}
