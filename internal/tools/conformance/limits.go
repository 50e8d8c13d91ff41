package main

import (
	"fmt"

	"edged/dimse"
)

// limitsTable is what an association may take, as the library sets it where the
// appliance's configuration does not.
func limitsTable() string {
	s, c := dimse.ServerConfig{}.WithDefaults(), dimse.ClientConfig{}.WithDefaults()
	t := newTable("limit", "value")
	t.row("associations at a time (`dicom.max_associations`)", fmt.Sprint(s.MaxAssociations))
	t.row("connections that wait for their association", fmt.Sprint(s.MaxWaiting))
	t.row("PDU that is received", fmt.Sprintf("%d bytes", s.MaxPDU))
	t.row("PDU that is sent at most, also to a peer without a limit", fmt.Sprintf("%d bytes", c.MaxSend))
	t.row("presentation contexts of a request", "128")
	t.row("A-ASSOCIATE-RQ", fmt.Sprintf("%d bytes", s.MaxRequest))
	t.row("identifier, attribute list, commitment request", fmt.Sprintf("%d bytes", dimse.MaxSmallDataSet))
	t.row("time to an association, in all (ARTIM)", s.ARTIM.String())
	t.row("between two messages", s.Idle.String())
	t.row("within a message without a byte", s.Stall.String())
	t.row("asynchronous operations", "1 invoked, 1 performed")
	return t.String()
}
