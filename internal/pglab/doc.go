// Package pglab starts a real PostgreSQL for tests: Debian's, from
// /usr/lib/postgresql, in a directory of its own, on a free port of the loopback
// address, with fsync on.
//
// Start gives a test a new database on a server that all tests of the process share;
// New gives it a server of its own on the disk, which it may kill and start again. The server runs
// as the user postgres or nobody when the tests run as root, because it refuses to be
// root. It ends with the process that started it, however that ends: a shell beside it
// holds a pipe, and when that closes it kills the server and removes the directory.
//
// It deliberately installs nothing: without the programs the test is skipped and says why.
package pglab
