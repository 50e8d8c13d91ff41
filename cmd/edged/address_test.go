package main

import (
	"os"
	"sync/atomic"
)

// testPorts counts through ports below those that the kernel gives to outgoing
// connections: between choosing one and listening on it nobody else takes it.
var testPorts atomic.Int64

func testAddress() string {
	return freeAddress(12000 + int((int64(os.Getpid())*37+testPorts.Add(1))%18000))
}
