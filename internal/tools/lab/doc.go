// Package lab is what the tools that measure share: a folder and the processes in
// it, the product's programs as processes, what /proc says about them, and tables
// of Markdown.
//
// It promises that Close ends every process that it started and removes every file
// that it made, and that every wait is bounded. It deliberately measures nothing
// itself.
package lab
