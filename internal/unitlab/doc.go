// Package unitlab runs tests as the unit in configs/ would have hubd run.
//
// It promises that what was set for the process is as before when the test ends, and
// deliberately sets only what a test asks for. Such a test is not parallel.
package unitlab
