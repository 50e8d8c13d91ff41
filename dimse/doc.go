// Package dimse speaks DICOM over the network: the upper layer of PS3.8 and, on
// top of it, the Verification and Storage services of PS3.7 and PS3.4, as
// acceptor (Server) and as requestor (Client).
package dimse
