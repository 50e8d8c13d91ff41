// Package netlab makes small networks out of the kernel's own parts, for tests
// and tools: namespaces, veth pairs between them, a rate (tbf), packets dropped by
// a firewall (nft), a cable pulled and put back.
//
// It promises:
//   - everything it makes is named edged-PID-NUMBER-NAME and goes with Close, and
//     so do the processes inside, each by its own pid;
//   - what a killed run left behind goes with the next Create, if its name is one
//     of ours and its process is gone; nothing else is touched;
//   - the machine's own namespace, addresses and firewall are never changed.
//
// It deliberately has no delay and no loss (the kernels it runs on have no
// netem): a relay between TUN devices does that. It needs root, ip and tc
// (Debian iproute2), and nft (nftables) for Drop; Available says what is missing.
// Nothing of the product imports it.
package netlab
