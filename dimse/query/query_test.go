package query

import (
	"errors"
	"strings"
	"testing"

	"edged/dimse/dataset"
)

// set makes a data set of "GGGGEEEE=value" words.
func set(t testing.TB, words ...string) (s dataset.Set) {
	t.Helper()
	for _, w := range words {
		tag, value, _ := strings.Cut(w, "=")
		s.Set(tagOf(t, tag), dataset.VR(tagOf(t, tag)), value)
	}
	return s
}

func tagOf(t testing.TB, s string) (tag dataset.Tag) {
	for _, c := range s {
		tag = tag<<4 | dataset.Tag(strings.IndexRune("0123456789ABCDEF", c))
	}
	return tag
}

func find(t testing.TB, level Level, words ...string) Find {
	t.Helper()
	words = append(words, "00080052="+level.String())
	if level > Study {
		words = append(words, "0020000D=1.2.3")
	}
	if level > Series {
		words = append(words, "0020000E=1.2.3.1")
	}
	f, err := ParseFind(StudyRoot, set(t, words...))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// Each kind of matching, by its paragraph of PS3.4.
func TestMatching(t *testing.T) {
	for _, c := range []struct {
		rule, key, value string
		want             bool
	}{
		{"§C.2.2.2.1 single value: equal", "00080050=A1", "A1", true},
		{"§C.2.2.2.1 single value: other", "00080050=A1", "A2", false},
		{"§C.2.2.2.1 single value: a part is not enough", "00080050=A1", "A11", false},
		{"§C.2.2.2.1 single value: with regard to case", "00080050=a1", "A1", false},
		{"§C.2.2.2.1 single value: nothing there", "00080050=A1", "", false},
		{"§C.2.2.2.1 single value: padding does not count", "00080050=A1 ", "A1", true},
		{"§C.2.2.2.1 one of several values", "00080061=MR", `CT\MR`, true},
		{"§C.2.2.2.1 none of several values", "00080061=US", `CT\MR`, false},
		{"several values in the key: one of them", `00080061=US\MR`, "MR", true},
		{"§C.2.2.2.2 list of UID: in it", `0020000D=1.2.9\1.2.3`, "1.2.3", true},
		{"§C.2.2.2.2 list of UID: not in it", `0020000D=1.2.9\1.2.4`, "1.2.3", false},
		{"§C.2.2.2.2 UID: no wild cards", `0020000D=1.2.*`, "1.2.3", false},
		{"§C.2.2.2.3 universal", "00080050=", "A1", true},
		{"§C.2.2.2.3 universal: nothing there", "00080050=", "", true},
		{"§C.2.2.2.4 wild card *: as universal", "00080050=*", "", true},
		{"§C.2.2.2.4 wild card *: behind", "00081030=Head*", "Head CT", true},
		{"§C.2.2.2.4 wild card *: no character", "00081030=Head*", "Head", true},
		{"§C.2.2.2.4 wild card *: in the middle", "00081030=H*CT", "Head CT", true},
		{"§C.2.2.2.4 wild card *: twice", "00081030=*ead*T", "Head CT", true},
		{"§C.2.2.2.4 wild card *: not there", "00081030=*MR*", "Head CT", false},
		{"§C.2.2.2.4 wild card ?: one character", "00081030=H?ad CT", "Head CT", true},
		{"§C.2.2.2.4 wild card ?: not none", "00081030=Head CT?", "Head CT", false},
		{"§C.2.2.2.4 wild card: not in a date", "00080020=2026*", "20260105", false},
		{"§C.2.2.2.5 date range: within", "00080020=20260101-20260131", "20260105", true},
		{"§C.2.2.2.5 date range: first day", "00080020=20260105-20260131", "20260105", true},
		{"§C.2.2.2.5 date range: last day", "00080020=20260101-20260105", "20260105", true},
		{"§C.2.2.2.5 date range: before", "00080020=20260106-20260131", "20260105", false},
		{"§C.2.2.2.5 date range: from", "00080020=20260101-", "20260105", true},
		{"§C.2.2.2.5 date range: from, too late", "00080020=20260106-", "20260105", false},
		{"§C.2.2.2.5 date range: to", "00080020=-20260105", "20260105", true},
		{"§C.2.2.2.5 date range: to, too early", "00080020=-20260104", "20260105", false},
		{"§C.2.2.2.5 date range: no date there", "00080020=20260101-", "", false},
		{"§C.2.2.2.1 date: equal", "00080020=20260105", "20260105", true},
		{"§C.2.2.2.1 date: old form", "00080020=2026.01.05", "20260105", true},
		{"§C.2.2.2.5 time range: within", "00080030=1000-1100", "103015.5", true},
		{"§C.2.2.2.5 time range: all of the last minute", "00080030=1000-1030", "103015.5", true},
		{"§C.2.2.2.5 time range: after", "00080030=1000-1029", "103015.5", false},
		{"§C.2.2.2.1 time: less precise", "00080030=1030", "103015", true},
		{"§C.2.2.2.1 time: more precise", "00080030=103016", "103015", false},
		{"PN: without regard to case", "00100010=ROSSI^maria", "Rossi^Maria", true},
		{"PN: empty components at the end do not count", "00100010=Rossi^Maria", "Rossi^Maria^^", true},
		{"PN: a component is not the whole", "00100010=Rossi", "Rossi^Maria", false},
		{"PN: wild card over components", "00100010=rossi*", "Rossi^Maria", true},
		{"PN: wild card for a component", "00100010=*^Maria", "Rossi^Maria", true},
		{"PN: ideographic group", "00100010==山田^太郎", "Yamada^Tarou=山田^太郎=やまだ^たろう", true},
		{"PN: alphabetic group of a name with three", "00100010=yamada*", "Yamada^Tarou=山田^太郎=やまだ^たろう", true},
		{"PN: spaces around components", "00100010=Rossi ^Maria", "Rossi^ Maria", true},
		{"DS as a number", "00101030=70.50", "70.5", true},
		{"a key of another level decides nothing", "00080060=US", "CT", true},
		{"a key that is not supported decides nothing", "00089999=US", "CT", true},
	} {
		f := find(t, Study, c.key)
		tag, _, _ := strings.Cut(c.key, "=")
		if got := f.Matches(set(t, tag+"="+c.value)); got != c.want {
			t.Errorf("%s: key %s on %q: got %v", c.rule, c.key, c.value, got)
		}
	}
}

// Ranges of DT with and without offsets from UTC (PS3.5 §6.2, PS3.4 §C.2.2.2.5).
func TestDateTimeRanges(t *testing.T) {
	for _, c := range []struct {
		key, value string
		want       bool
	}{
		{"20260105-20260106", "20260105120000.5", true},
		{"2025-2026", "20260105120000", true},
		{"20260105120000-0500", "20260105120000-0500", true},
		{"20260105120000-0500", "20260105170000+0000", true},
		{"20260105120000-0500-20260105130000-0500", "20260105173000+0000", true},
		{"20260105120000-0500-20260105130000-0500", "20260105183000+0000", false},
		{"20260105120000+0100-", "20260105105959+0000", false},
		{"-20260105", "20260105235959.999999", true},
		{"20260105", "20260106", false},
		{"nonsense-", "20260106", false},
	} {
		f := find(t, Image, "0008002A="+c.key)
		if got := f.Matches(set(t, "0008002A="+c.value, "0020000D=1.2.3", "0020000E=1.2.3.1")); got != c.want {
			t.Errorf("%s on %s: got %v", c.key, c.value, got)
		}
	}
}

// Sequence matching: one item has to match all keys of the item (PS3.4 §C.2.2.2.6).
func TestSequenceMatching(t *testing.T) {
	item := func(words ...string) []dataset.Set { return []dataset.Set{set(t, words...)} }
	var entity dataset.Set
	entity.SetItems(0x00400275, append(item("00401001=P1", "00400007=Head"), item("00401001=P2", "00400007=Foot")...))
	entity.Put(set(t, "0020000D=1.2.3")[0])
	for _, c := range []struct {
		rule string
		key  []dataset.Set
		want bool
	}{
		{"both in one item", item("00401001=P2", "00400007=F*"), true},
		{"each in another item", item("00401001=P1", "00400007=F*"), false},
		{"an empty item is universal", []dataset.Set{{}}, true},
		{"no item is universal", nil, true},
		{"empty keys are universal", item("00401001="), true},
	} {
		identifier := set(t, "00080052=SERIES", "0020000D=1.2.3")
		identifier.SetItems(0x00400275, c.key)
		f, err := ParseFind(StudyRoot, identifier)
		if got := f.Matches(entity); err != nil || got != c.want {
			t.Errorf("%s: got %v, %v", c.rule, got, err)
		}
	}
}

// The same letters match whatever character sets key and value are in.
func TestCharacterSetsAreDecodedBeforeTheyAreCompared(t *testing.T) {
	latin, unicode := "Nicol\xf2^Agn\xe8s", "Nicolò^Agnès"
	for _, c := range []struct {
		rule, keySet, key, valueSet, value string
		want                               bool
	}{
		{"Latin-1 and UTF-8", "ISO_IR 100", latin, "ISO_IR 192", unicode, true},
		{"UTF-8 and Latin-1", "ISO_IR 192", unicode, "ISO_IR 100", latin, true},
		{"UTF-8 and Latin-1 by its ISO 2022 name", "ISO_IR 192", unicode, `\ISO 2022 IR 100`, "Nicol\x1b-A\xf2^Agn\xe8s", true},
		{"? is one letter, not one byte", "ISO_IR 192", "Nicol?^*", "ISO_IR 192", unicode, true},
		{"without regard to case", "ISO_IR 192", strings.ToUpper(unicode), "ISO_IR 100", latin, true},
		{"without a set: UTF-8 all the same", "", unicode, "ISO_IR 100", latin, true},
		{"a set that is not known: the same bytes", "ISO_IR 144", "\xb8\xd2", "ISO_IR 144", "\xb8\xd2", true},
		{"a set that is not known: bytes are no letters of another", "ISO_IR 144", "\xf2", "ISO_IR 100", "\xf2", false},
	} {
		f := find(t, Study, "00080005="+c.keySet, "00100010="+c.key)
		if got := f.Matches(set(t, "00080005="+c.valueSet, "00100010="+c.value)); got != c.want {
			t.Errorf("%s: got %v", c.rule, got)
		}
	}
}

// Above the level that is asked for each unique key has one value (PS3.4
// §C.4.1.2.1, §C.4.1.3.1).
func TestTheHierarchyIsKept(t *testing.T) {
	for _, c := range []struct {
		rule string
		root Root
		keys string
		ok   bool
	}{
		{"study root, study", StudyRoot, "00080052=STUDY", true},
		{"study root, series of a study", StudyRoot, "00080052=SERIES 0020000D=1.2", true},
		{"study root, series of any study", StudyRoot, "00080052=SERIES", false},
		{"study root, series, study by wild card", StudyRoot, "00080052=SERIES 0020000D=*", false},
		{"study root, series of two studies", StudyRoot, `00080052=SERIES 0020000D=1.2\1.3`, false},
		{"study root, image without series", StudyRoot, "00080052=IMAGE 0020000D=1.2", false},
		{"study root, image", StudyRoot, "00080052=IMAGE 0020000D=1.2 0020000E=1.2.1", true},
		{"study root has no patient level", StudyRoot, "00080052=PATIENT", false},
		{"patient root, patient", PatientRoot, "00080052=PATIENT 00100010=*", true},
		{"patient root, study without patient", PatientRoot, "00080052=STUDY", false},
		{"patient root, study", PatientRoot, "00080052=STUDY 00100020=P1", true},
		{"patient root, image without study", PatientRoot, "00080052=IMAGE 00100020=P1 0020000E=1", false},
		{"no level", StudyRoot, "0020000D=1.2", false},
		{"an unknown level", StudyRoot, "00080052=FRAME", false},
	} {
		_, err := ParseFind(c.root, set(t, strings.Fields(c.keys)...))
		if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrIdentifier) {
			t.Errorf("%s: %v", c.rule, err)
		}
	}
}

// A retrieve names what it wants at its level, by a list if it likes, and one
// entity at each level above (PS3.4 §C.4.2.2.1, §C.4.3.2.1).
func TestRetrieveNamesWhatItWants(t *testing.T) {
	for _, c := range []struct {
		rule string
		root Root
		keys string
		ok   bool
	}{
		{"a study", StudyRoot, "00080052=STUDY 0020000D=1.2", true},
		{"two studies", StudyRoot, `00080052=STUDY 0020000D=1.2\1.3`, true},
		{"all studies", StudyRoot, "00080052=STUDY", false},
		{"all studies by wild card", StudyRoot, "00080052=STUDY 0020000D=*", false},
		{"images of a series", StudyRoot, `00080052=IMAGE 0020000D=1.2 0020000E=1.2.1 00080018=1\2\3`, true},
		{"images without their series", StudyRoot, `00080052=IMAGE 0020000D=1.2 00080018=1\2\3`, false},
		{"a patient", PatientRoot, "00080052=PATIENT 00100020=P1", true},
		{"two patients", PatientRoot, `00080052=PATIENT 00100020=P1\P2`, false},
		{"a study without its patient", PatientRoot, "00080052=STUDY 0020000D=1.2", false},
	} {
		r, err := ParseRetrieve(c.root, set(t, strings.Fields(c.keys)...))
		if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrIdentifier) {
			t.Errorf("%s: %+v, %v", c.rule, r, err)
		}
		if c.rule == "images of a series" && (len(r.Instances) != 3 || r.Series[0] != "1.2.1" || r.Studies[0] != "1.2" || r.Level != Image) {
			t.Errorf("%s: %+v", c.rule, r)
		}
	}
}

// A response has what was asked for and is supported, and what has to be there
// (PS3.4 §C.4.1.1.3.2, §C.2.2.1.3).
func TestResponseHasWhatWasAskedFor(t *testing.T) {
	f := find(t, Study, "00080005=ISO_IR 192", "00100010=*", "00100020=", "0020000D=", "00080060=", "00089999=", "00081030=")
	entity := set(t, "00080005=ISO_IR 100", "00100010=Nicol\xf2", "0020000D=1.2.3", "00080060=CT", "00100040=M", "00089999=x")
	got := f.Response(entity, "EDGED")
	want := set(t, "00080005=ISO_IR 100", "00080052=STUDY", "00080054=EDGED", "00080056=ONLINE",
		"00081030=", "00100010=Nicol\xf2", "00100020=", "0020000D=1.2.3")
	if !got.Equal(want) {
		t.Errorf("got\n%v\nwant\n%v", got, want)
	}
}

// Of a sequence come the keys that were asked of its items.
func TestResponseHasOfASequenceWhatWasAskedFor(t *testing.T) {
	identifier := set(t, "00080052=SERIES", "0020000D=1.2.3")
	identifier.SetItems(0x00400275, []dataset.Set{set(t, "00401001=")})
	f, err := ParseFind(StudyRoot, identifier)
	if err != nil {
		t.Fatal(err)
	}
	var entity dataset.Set
	entity.SetItems(0x00400275, []dataset.Set{set(t, "00401001=P1", "00400007=Head")})
	got := f.Response(entity, "EDGED").Items(0x00400275)
	if len(got) != 1 || !got[0].Equal(set(t, "00401001=P1")) {
		t.Errorf("got %v", got)
	}
}

// Whatever comes as identifier or lies in the entity: an answer, and one that can
// be written.
func FuzzFind(f *testing.F) {
	seed := func(words ...string) []byte {
		b, _ := set(f, words...).Append(nil, dataset.ImplicitVRLittleEndian)
		return b
	}
	f.Add(seed("00080052=STUDY", "00100010=R*?", "00080020=2026-", "0008002A=2020-0500"), seed("00100010=Rossi", "00080020=20260101"))
	f.Add(seed("00080052=IMAGE", "0020000D=1", "0020000E=1", "0008002A=-20260105120000-0500"), seed("0008002A=2026+0100", "0020000D=1", "0020000E=1"))
	f.Fuzz(func(t *testing.T, keys, value []byte) {
		k, errK := dataset.Parse(keys, dataset.ImplicitVRLittleEndian)
		v, errV := dataset.Parse(value, dataset.ImplicitVRLittleEndian)
		if errK != nil || errV != nil {
			return
		}
		for _, root := range []Root{StudyRoot, PatientRoot} {
			ParseRetrieve(root, k)
			q, err := ParseFind(root, k)
			if err != nil {
				continue
			}
			q.Matches(v)
			b, err := q.Response(v, "EDGED").Append(nil, dataset.ExplicitVRLittleEndian)
			if err != nil && !errors.Is(err, dataset.ErrLimit) {
				t.Fatal(err)
			}
			if _, err := dataset.Parse(b, dataset.ExplicitVRLittleEndian); err == nil {
				continue
			} else if !errors.Is(err, dataset.ErrLimit) {
				t.Fatal(err)
			}
		}
	})
}
