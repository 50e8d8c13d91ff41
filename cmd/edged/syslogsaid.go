package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"edged/agent/status"
)

func (c *control) repository(w http.ResponseWriter, _ *http.Request) {
	json.NewEncoder(w).Encode(c.audit()) // the peer is gone when this fails
}

func (st syslogStatus) said(now time.Time) string {
	if !st.On {
		return "the log on this appliance only (syslog.server is empty)"
	}
	tail := fmt.Sprintf("%d messages wait, %d lost since the start", st.Waiting, st.Lost)
	switch {
	case st.Error == "":
		return fmt.Sprintf("repository %s reached; %s", st.Server, tail)
	case st.Since.IsZero():
		return fmt.Sprintf("repository %s not reached: %s; %s", st.Server, status.Shown(st.Error), tail)
	}
	return fmt.Sprintf("repository %s not reached for %s: %s; %s", st.Server, now.Sub(st.Since).Round(time.Second), status.Shown(st.Error), tail)
}
