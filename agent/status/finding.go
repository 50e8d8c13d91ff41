package status

// Levels of findings.
const (
	LevelInfo = "info"
	LevelWarn = "warn"
	LevelHold = "hold" // the hub keeps it back until it is released
)

// Finding is one thing that is wrong with the data of an instance or a study. The
// codes, causes and their words are those of internal/quality; the values are data,
// hostile perhaps, and name persons.
type Finding struct {
	Code   string    `json:"code"`
	Level  string    `json:"level"`
	Cause  string    `json:"cause"`
	Values [2]string `json:"-"`     // {a} and {b} of the sentence
	Count  int64     `json:"count"` // instances of the study that have it
}
