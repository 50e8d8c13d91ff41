// Edged is the appliance's daemon and the commands around it. This package
// holds flags, the configuration, the wiring, the door from dimse to spool
// (ingest.go) and the adapters between rooms, and nothing else:
//
//	roster.go   who may do what, and who was seen        -> dimse
//	secure.go   TLS, and its certificates                -> dimse
//	ingest.go   an instance becomes an object            dimse -> spool
//	commitments.go, commitmentjudge.go   when a device may delete its copy   dimse/commitment <-> spool
//	stepnotes.go   how many images a study is to have    dimse/steps -> spool
//	notebook.go    what both owe, as notes               -> spool
//	keeper.go   a spool that failed is opened again      spool
//	vault.go    the key that the spool is opened with    spool/vault -> spool
//	source.go   objects are lent, receipts are kept      spool <-> uplink
//	sender.go   the uplink, once there is an identity    uplink
//	view.go     what is shown                            spool, uplink, roster -> agent/page
//	announce.go what is told to who looks for DICOM nodes    -> agent/discovery
//	qr.go       what a workstation asks for and gets     spool -> dimse
//	control.go  the socket through which the other commands ask
//
// It promises that what starts last stops first: the DICOM port before the
// uplink, the uplink before the spool, and that a port that is taken or a
// configuration that is wrong is told before anything has started.
//
// It deliberately keeps no state of its own that a part has already: what an
// object is and how far it has come, only the spool knows.
package main
