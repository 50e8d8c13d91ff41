// Package archivelab is archives for tests and tools: a Storage SCP of our own that
// counts what it gets and can commit itself to it, and a real Orthanc.
//
// It promises that the SCP believes nobody: it keeps the digest of every data set by its
// SOP Instance UID, and tells apart what came again (the same bytes) from other bytes
// under a UID that was there. It commits itself to what it has and to nothing else
// (PS3.4 §J.3), on the association that asked; where that is gone it reports on one of
// its own, again and again, until somebody takes the report or it is closed. Orthanc ends
// with the test, with Close, and with the process that started it.
//
// It deliberately keeps no image, and installs nothing: without Orthanc a test is skipped
// and says why.
package archivelab
