// Package line is a long line between two network namespaces: rate, delay, random
// loss and a queue of bounded length, for IPv4. The kernels that it is used on have
// no netem, and a proxy of streams cannot lose packets.
//
// Each end is a TUN device; one thread carries packets from one to the other:
//
//	device A --> [ queue | serialisation | delay | loss ] --> device B
//	device A <-- [ queue | serialisation | delay | loss ] <-- device B
//
// It promises:
//   - a packet leaves Delay after its last bit was on the line, where each takes
//     its IP length plus 38 bytes of Ethernet (header 14, FCS 4, preamble 8, gap
//     12) at Rate; packets keep their order;
//   - what would wait behind more than Queue bytes is dropped (drop tail);
//   - each packet is lost with the same probability, independently, by a generator
//     of its direction that starts at Seed: the n-th packet meets the same luck in
//     every run;
//   - the same for the segments of a super-packet (TCP and UDP segmentation
//     offload): each is queued, delayed and lost by itself. Those that follow each
//     other arrive together when the last of them does, as from a network card
//     that merges what it receives. The kernel fills in checksums;
//   - every packet is counted once: delivered, lost, or dropped.
//
// It allocates nothing for a packet and does not spin. A line that is asked for
// more than the machine can pass delays more than it should; whoever measures
// prints what it can pass (Rate 0: no limit).
//
// It deliberately does no IPv6, no reordering, no jitter, no bursts of loss.
package line
