// Package hubtest is a fleet of appliances for tests and measurements of the hub:
// thousands of them in one process, each of which is one connection that speaks the
// protocol of package uplink, over TLS on TCP or over QUIC.
//
// It promises:
//   - who is idle costs one goroutine and some 30 KiB, so that 8,700 fit into a process;
//   - every object is a data set (Explicit VR Little Endian, a head and random
//     pixels) that is a function of seed and number: nothing is kept of its bytes;
//   - what an Appliance counts as received was in a Receipt with its length, after all
//     its bytes were sent or the hub said that it needs none; every confirmation is
//     acknowledged;
//   - a Fleet offers again, over the next connection, what has no receipt, and all that
//     is not archived when the hub asks for it or comes with another generation;
//   - a Day is a function of its seed: the same studies at the same times.
//
// It deliberately keeps nothing on disk, has no lanes, no cap and no rests that grow,
// and believes the hub: who wants to see the product send uses package uplink.
// Everything in it runs in the caller's goroutines but what reads a connection.
package hubtest
