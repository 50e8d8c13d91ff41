package spool

// ProbeMain is called first thing in main (and in TestMain). In the child
// process that Open starts to look at the index it does not return.
func ProbeMain() {}
