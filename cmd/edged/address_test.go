package main

import (
	"fmt"

	"edged/internal/ports"
)

// testAddress is one that no connection takes between choosing it and listening on
// it, and no test of another package either.
func testAddress() string {
	port, err := ports.Free()
	if err != nil {
		panic(err) // the machine has no ports left
	}
	return fmt.Sprintf("127.0.0.1:%d", port)
}
