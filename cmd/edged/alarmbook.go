package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"edged/agent/status"
	"edged/internal/durable"
)

// alarmsFile is where alarms are kept below data_dir:
//
//	{"version":1,"open":[alarm,...],"over":[alarm,...]}
//
// An alarm is as in agent/status. What is over has at most 500, the latest first.
const alarmsFile = "alarms.json"

const (
	alarmAfter = time.Minute     // that it has held before it is an alarm: three looks
	alarmCalm  = 2 * time.Minute // that it has not held before it is over
	maxOver    = 500
	maxAlarms  = 500 // alarms at once; more are not opened
	alarmBytes = 2 << 20
)

// alarmBook opens an alarm when something has held for a minute, and ends it when it
// has not for two: what comes and goes is one alarm, and not fifty.
type alarmBook struct {
	file string

	mu      sync.Mutex // guards what follows
	dirty   bool
	pending map[string]time.Time // what holds and is no alarm yet: since when
	calm    map[string]time.Time // open ones that do not hold: since when
	open    []status.Alarm
	over    []status.Alarm
}

type alarmContent struct {
	Version int            `json:"version"`
	Open    []status.Alarm `json:"open"`
	Over    []status.Alarm `json:"over"`
}

// openAlarms recalls the file. One that cannot be read is told by the error and begun
// anew: what holds opens again.
func openAlarms(file string) (*alarmBook, error) {
	b := &alarmBook{file: file, pending: make(map[string]time.Time), calm: make(map[string]time.Time)}
	text, err := durable.ReadFile(file, alarmBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	}
	if err != nil {
		return b, err
	}
	in, err := parseAlarms(text)
	if err == nil {
		b.open, b.over = in.Open, in.Over
	}
	return b, err
}

func parseAlarms(text []byte) (in alarmContent, err error) {
	if err := json.Unmarshal(text, &in); err != nil {
		return in, fmt.Errorf("%s: %w", alarmsFile, err)
	}
	if in.Version != 1 || len(in.Open) > maxAlarms || len(in.Over) > maxOver {
		return in, fmt.Errorf("%s: version %d with %d open alarms and %d that are over", alarmsFile, in.Version, len(in.Open), len(in.Over))
	}
	return in, nil
}

// keyOfAlarm: the same code about the same thing is the same alarm.
func keyOfAlarm(a status.Alarm) string {
	key := string(a.Code) + "\x00" + a.Device
	if strings.HasPrefix(a.Value, "cert:") {
		key += "\x00" + a.Value
	}
	return key
}

// step takes what holds now. While the spool cannot be asked, which known says, no alarm is
// over: it would open again, without who had taken it in charge.
func (b *alarmBook) step(now time.Time, holds []status.Alarm, known bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	met := make(map[string]status.Alarm, len(holds))
	for _, a := range holds {
		met[keyOfAlarm(a)] = a
	}
	b.open = slices.DeleteFunc(b.open, func(a status.Alarm) bool {
		_, holds := met[keyOfAlarm(a)]
		return !holds && known && b.isOver(a, now)
	})
	for i, a := range b.open {
		if now, holds := met[keyOfAlarm(a)]; holds {
			b.open[i].Count, b.open[i].Value, b.open[i].Limit, b.open[i].Red, b.open[i].Safe = now.Count, now.Value, now.Limit, now.Red, now.Safe
			delete(b.calm, keyOfAlarm(a))
			delete(met, keyOfAlarm(a))
		}
	}
	for key := range b.pending {
		if _, holds := met[key]; !holds {
			delete(b.pending, key)
		}
	}
	for _, a := range holds {
		if _, more := met[keyOfAlarm(a)]; more {
			b.consider(a, now)
		}
	}
}

// isOver begins or ends the time of calm of an open alarm that does not hold. mu is held.
func (b *alarmBook) isOver(a status.Alarm, now time.Time) bool {
	key := keyOfAlarm(a)
	since, calm := b.calm[key]
	if !calm {
		b.calm[key] = now
		return false
	}
	if now.Sub(since) < alarmCalm {
		return false
	}
	delete(b.calm, key)
	a.Until = since
	b.over = append([]status.Alarm{a}, b.over...)
	b.over = b.over[:min(len(b.over), maxOver)]
	b.dirty = true
	return true
}

// consider opens an alarm that has held for long enough. mu is held.
func (b *alarmBook) consider(a status.Alarm, now time.Time) {
	key := keyOfAlarm(a)
	since, waits := b.pending[key]
	if !waits {
		since = now
		b.pending[key] = now
	}
	if now.Sub(since) < alarmAfter || len(b.open) >= maxAlarms {
		return
	}
	delete(b.pending, key)
	a.ID, a.Since = rand.Text()[:12], since
	b.open = append(b.open, a)
	b.dirty = true
}

// alarms are copies: those that are open, and those that are over, the latest first.
func (b *alarmBook) alarms() (open, over []status.Alarm) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.open), slices.Clone(b.over)
}

// find is an open alarm that nobody has taken in charge yet.
func (b *alarmBook) find(id string) (status.Alarm, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range b.open {
		if a.ID == id && a.AckedAt.IsZero() {
			return a, true
		}
	}
	return status.Alarm{}, false
}

// acknowledge writes down who has taken an alarm in charge, and is done when that is
// on the disk.
func (b *alarmBook) acknowledge(id, who string, now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, a := range b.open {
		if a.ID == id {
			b.open[i].AckedAt, b.open[i].AckedBy = now, who
			if err := b.write(); err != nil {
				b.open[i] = a
				return err
			}
			return nil
		}
	}
	return refusef("the alarm is over")
}

// save writes the file when alarms have come or gone.
func (b *alarmBook) save() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.dirty {
		return nil
	}
	return b.write()
}

// write is for who holds mu.
func (b *alarmBook) write() error {
	text, err := json.Marshal(alarmContent{1, b.open, b.over})
	if err == nil {
		err = durable.WriteFile(b.file, append(text, '\n'), 0o600)
	}
	b.dirty = err != nil
	return err
}
