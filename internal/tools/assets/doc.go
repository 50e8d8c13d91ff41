// Command assets makes what the page takes from others, at fixed versions: `make assets`.
//
// It gets two packages from the npm registry by `npm pack`, compares each with the
// SHA-512 that stands in fetch.go, and writes beside the page's own files:
//
//	bootstrap-italia.css          of bootstrap-italia: the rules that the page can use
//	htmx.js                       of htmx.org: htmx and its extensions for a policy without
//	                              inline script (hx-csp) and for server-sent events (hx-sse)
//	BOOTSTRAP-ITALIA-LICENSE.txt  and the like: the licences, as they came
//
// What it writes is committed, so that nothing but this command needs the network; a
// test cuts again what is committed and finds that nothing is left to cut.
//
// The style sheet is cut by its grammar (CSS Syntax Level 3: comments, strings, blocks), not
// by lines. A selector stays when each of its classes and elements is used: it stands in a
// template, or in the list of what Go code and pages to come may use. What reads from
// the network or from data: goes, the policy of the page allows neither; so do variables, animations and
// fonts that nothing refers to.
//
// It deliberately does not minify, rename or reorder: what stays is as its authors wrote it.
package main
