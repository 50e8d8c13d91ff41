package page

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"edged/agent/account"
	"edged/agent/status"
)

// StudyDesk finds studies and sends them again. Its methods are called from the
// goroutines of requests; Search answers from memory within milliseconds.
type StudyDesk interface {
	// Search lists the studies that fit, the one that came last first. Its order is
	// that of arrival: late images do not move a study.
	Search(StudyQuery) StudyList
	// Study is one of them, by its key; false when it is not known here. Only with
	// instances are those listed, so many as a sheet of paper bears.
	Study(key string, instances bool) (StudyDetail, bool)
	// Resend offers again what of a study is not archived, and says how many
	// instances that were. That it is done is on the audit trail before it is.
	Resend(ctx context.Context, key string, who account.Actor) (int64, error)
}

// Sight is how much of a person somebody sees. What he does not see is not compared
// with what he searches either: an answer would tell it.
type Sight int

// What there is to see.
const (
	SeesState  Sight = iota // no person, no accession number
	SeesMasked              // initials and year of birth
	SeesFull                // names and numbers
)

// StudyQuery says which studies are wanted. The zero one wants all.
type StudyQuery struct {
	Sight         Sight
	Text          string // accession number, initials, end of the codice fiscale, name: as far as Sight goes
	Day           time.Time
	Device        string // AE title
	State         status.Hop
	Offset, Limit int
}

// StudyList is a page of what was found.
type StudyList struct {
	Cards   []status.Card
	Total   int      // found in all
	Devices []string // AE titles of all studies, to choose from
	Reading bool     // the appliance has just started: not all persons have been read yet
}

// StudyDetail is a study and its way.
type StudyDetail struct {
	Card      status.Card
	Series    int64
	Late      int64     // instances that came when all before them were archived
	Here      int64     // instances that are still on this appliance
	Short     int64     // announced by the device, settled, and never come; of a day's report
	Discarded int64     // deleted here by somebody with a name and a reason
	FirstSent time.Time // when the first of it began to leave; zero: before the last start
	FirstHub  time.Time
	LastHub   time.Time // when the last of those there arrived
	LastArch  time.Time
	Why       []StudyWhy
	Receipt   StudyReceipt // with instances
}

// StudyWhy says why some instances of a study do not go on.
type StudyWhy struct {
	Code  WhyStopped
	Count int64
	Words string // of the archive or of the appliance: hostile text, "" when there are none
	Where string // name of the archive
}

// WhyStopped is a reason.
type WhyStopped string

// The reasons; "why.study." and each of them is the sentence.
const (
	WhyLost        WhyStopped = "lost"        // damaged here, and nobody else has it
	WhyDamaged     WhyStopped = "damaged"     // damaged here; the hub has a good copy
	WhySetAside    WhyStopped = "aside"       // set aside after several attempts
	WhyRefusedHub  WhyStopped = "refused"     // the hub refuses it
	WhyMismatch    WhyStopped = "mismatched"  // it arrives damaged again and again
	WhyUnread      WhyStopped = "unread"      // the disk does not give it now
	WhyArchiveSays WhyStopped = "archivesays" // the archive refused it
	WhyHeld        WhyStopped = "held"        // the hub holds it back
	WhyConflict    WhyStopped = "conflict"    // another one has the same UID and other contents
)

// WhyStoppedCodes lists them, the worst first.
var WhyStoppedCodes = []WhyStopped{WhyLost, WhyDamaged, WhySetAside, WhyArchiveSays, WhyConflict, WhyHeld, WhyRefusedHub, WhyMismatch, WhyUnread}

// StudyReceipt is what a printed receipt proves.
type StudyReceipt struct {
	Instances []ReceiptInstance
	More      int64  // that are not listed
	Digest    string // SHA-256 of the lines "ID\n" of all instances here, in the order of their IDs
}

// ReceiptInstance is a line of it.
type ReceiptInstance struct {
	ID             string // SHA-256 by which appliance and hub name it
	UID            string // SOP Instance UID
	Bytes          int64
	Received       time.Time
	AtHub, Archive time.Time // zero: not yet
}

const studiesAPage = 50

func (p *Page) studyLeaves() []leaf {
	if p.cfg.Studies == nil {
		return nil
	}
	return []leaf{
		{path: "/studies", menu: "menu.studies", file: "studies.html", fresh: []string{"found"}, build: p.buildStudies},
		{path: "/studies/{key}", title: "study.title", file: "study.html", fresh: []string{"study"}, build: p.buildStudy},
		{path: "/studies/{key}/receipt", title: "receipt.title", role: account.Technician, file: "receipt.html", print: true, build: p.buildReceipt},
	}
}

func (p *Page) studyDeeds() []deed {
	if p.cfg.Studies == nil {
		return nil
	}
	return []deed{{path: "/studies/{key}/resend", role: account.Technician, do: p.resend}}
}

// sight is how much of a person the viewer sees.
func (r *request) sight() Sight {
	switch {
	case r.Full():
		return SeesFull
	case r.Masked():
		return SeesMasked
	}
	return SeesState
}

// queryOf reads an address, or a form, and the words that go with it. What cannot be read
// is not asked for.
func queryOf(r *request, v url.Values, text string) (q StudyQuery, number int) {
	q = StudyQuery{Sight: r.sight(), Device: v.Get("device"), Day: r.page.dayAsked(v), Limit: studiesAPage}
	if q.Sight > SeesState {
		q.Text = wordsAsked(text, 256)
	}
	for _, h := range status.AllHops {
		if string(h) == v.Get("state") {
			q.State = h
		}
	}
	number, q.Offset = pageAsked(v, q.Limit)
	return q, number
}

// address is the same search on another page; its words are on the slip.
func (q StudyQuery) address(number int, slip string) string {
	v := url.Values{}
	set := func(key, value string) {
		if value != "" {
			v.Set(key, value)
		}
	}
	set(searchSlip, slip)
	set("device", q.Device)
	set("state", string(q.State))
	if !q.Day.IsZero() {
		v.Set("day", q.Day.Format(time.DateOnly))
	}
	if number > 1 {
		v.Set("page", strconv.Itoa(number))
	}
	if len(v) == 0 {
		return "/studies"
	}
	return "/studies?" + v.Encode()
}

func (p *Page) buildStudies(r *request) (any, error) {
	slip, words := r.URL.Query().Get(searchSlip), r.kept(searchSlip)
	q, number := queryOf(r, r.URL.Query(), words.Get("q"))
	old := r.URL.Query().Get("q") != ""    // of a bookmark: words stand in no address any more
	if slip != "" && words == nil || old { // all studies would look like what was found
		v := studyListOf(StudyList{}, q, 1, "", r.facts())
		v.Gone = true
		return v, nil
	}
	return studyListOf(p.cfg.Studies.Search(q), q, number, slip, r.facts()), nil
}

// serveSearch is no deed: nothing changes, and who has not logged in may search too. It
// leads to an address that says nothing of whom somebody looks for.
func (p *Page) serveSearch(w http.ResponseWriter, r *http.Request) {
	rq, ok := p.form(w, r)
	if !ok {
		return
	}
	if code, why := p.mayntSearch(rq); code != 0 {
		p.refuse(w, rq, code, why)
		return
	}
	q, _ := queryOf(rq, r.PostForm, r.PostForm.Get("q"))
	slip := ""
	if q.Text != "" {
		slip = p.slips.put(rq.Now, rq.Viewer, url.Values{"q": {q.Text}})
	}
	http.Redirect(w, r, q.address(1, slip), http.StatusSeeOther)
}

// mayntSearch is maynt of words that somebody looks for. Filters alone name nobody.
func (p *Page) mayntSearch(rq *request) (code int, why string) {
	switch {
	case rq.PostForm.Get("q") == "":
		return 0, ""
	case rq.Viewer.In() || rq.PostForm.Get("csrf") != "": // the page was drawn for who was logged in
		return p.maynt(rq, account.Technician)
	case !sameOrigin(rq.Request):
		return http.StatusForbidden, "refused.origin"
	}
	return 0, ""
}

func (p *Page) buildStudy(r *request) (any, error) {
	d, ok := p.cfg.Studies.Study(r.PathValue("key"), false)
	if !ok {
		return nil, errNotFound
	}
	return studyPageOf(d, r.facts()), nil
}

func (p *Page) buildReceipt(r *request) (any, error) {
	d, ok := p.cfg.Studies.Study(r.PathValue("key"), true)
	if !ok {
		return nil, errNotFound
	}
	return receiptOf(d, r.facts()), nil
}

// resend says what it did: nothing, where nothing waits for anybody.
func (p *Page) resend(r *request) (outcome, error) {
	key := r.PathValue("key")
	if _, ok := p.cfg.Studies.Study(key, false); !ok {
		return outcome{}, errNotFound
	}
	n, err := p.cfg.Studies.Resend(context.WithoutCancel(r.Context()), key, r.Viewer.Actor())
	to := outcome{to: "/studies/" + url.PathEscape(key), notice: "resent"}
	switch {
	case errors.Is(err, ErrNothingToResend):
		to.notice = "nothingtoresend"
		return to, nil
	case err != nil:
		return outcome{}, err
	case n == 0:
		to.notice = "nothingtoresend"
	}
	return to, nil
}

// ErrNothingToResend says that all of a study is archived, or on its way already.
var ErrNothingToResend = errors.New("nothing of this study is to be sent again")

// sighted is what the views of this area are made for: who looks, when, in which language.
type sighted struct {
	facts
	W     *words
	Sight Sight
	Say   func(f status.Finding) (cause, says string)
	may   bool // send again, print
}

func (r *request) facts() sighted {
	st := r.page.status()
	f := facts{Status: st, Now: r.Now, Devices: r.page.cfg.Source.Devices()}
	return sighted{facts: f, W: r.W, Sight: r.sight(), may: r.Viewer.May(account.Technician), Say: func(x status.Finding) (string, string) {
		if r.page.cfg.Sentence == nil {
			return x.Code, ""
		}
		return r.page.cfg.Sentence(r.W.lang, x)
	}}
}
