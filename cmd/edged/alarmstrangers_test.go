package main

import (
	"fmt"
	"testing"
	"time"

	"edged/agent/status"
)

// Whoever calls by many names that nobody knows is one alarm, so that those of yesterday
// stay in the list; a device that is known has its own.
func TestStrangersAreOneAlarm(t *testing.T) {
	h := newHouse(t, func(c *Config) {
		c.Dicom.Devices = []Device{{AETitle: "CT1", Address: "10.0.0.5", Quiet: time.Minute}}
	})
	h.alarms.devices(alarmNoon)
	refuse := func(times int) {
		for range times {
			for i := range maxStrangers {
				h.roster.refused(caller{calling: fmt.Sprintf("X%d", i), address: "10.0.0.9"}, status.UnknownCalling, "")
			}
			h.roster.refused(caller{calling: "CT1", address: "10.0.0.5"}, status.WrongCalled, "")
		}
	}
	refuse(1)
	h.alarms.devices(alarmNoon)
	refuse(20)
	got := h.cfg.Alarms.judgeDevices(alarmFacts{now: alarmNoon, devices: h.alarms.devices(alarmNoon.Add(time.Minute))})
	of := make(map[string]int64)
	for _, a := range got {
		of[a.Device] += a.Count
	}
	if len(got) != 2 || of["CT1"] < 20 || of[""] != 20*maxStrangers {
		t.Errorf("%d alarms: %.200v", len(got), of)
	}
}
