package main

import (
	"encoding/json"
	"net/http"

	"edged/agent/page"
)

func (c *control) repository(w http.ResponseWriter, _ *http.Request) {
	json.NewEncoder(w).Encode(c.audit()) // the peer is gone when this fails
}

func (st syslogStatus) said() page.Repository {
	return page.Repository{Server: st.Server, Waiting: st.Waiting, Lost: st.Lost, Trouble: st.Error, Since: st.Since}
}
