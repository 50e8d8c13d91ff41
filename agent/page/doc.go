// Package page is the local page of an appliance: what a radiology technician
// reads in five seconds, standing, and the same facts for scripts and monitors.
//
//	GET /                     the page, in Italian, English or German
//	GET /healthz              200 while the process serves
//	GET /readyz               200 when a C-STORE sent now would be accepted, else 503 and one line
//	GET /metrics              Prometheus text
//	GET /api/v1/status        status.Status
//	GET /api/v1/studies       the latest studies, ?limit=1..500
//	GET /api/v1/devices       devices met and configured
//	GET /api/v1/events        server-sent events: something changed, ask again
//	GET /api/v1/openapi.json  the description of the five above
//	GET /assets/...           style, script, font, icon: all embedded
//
// What it promises:
//
//   - A page is a pure function of what the Source says, the language and the time.
//   - Green has to be earned: the style sheet itself turns the page grey 25
//     seconds after it was last fresh, also when no script runs; each successful
//     refresh winds that clock up again. Values that the Source gathered more
//     than 25 seconds ago are grey from the start.
//   - Who has not logged in is shown no person (P10, P11), or initials and year of birth
//     where the facility chose so, and changes nothing.
//   - A change is a POST of this page's own form, by a name or address that is ours, with
//     the token of the session, by somebody whose role allows it; see csrf.go.
//   - A password is taken, and a session known, by TLS or on this machine itself only. A
//     page that renews itself keeps no session open.
//   - Text from the wire is hostile: it is made printable, cut, isolated in its
//     direction and escaped, and the content security policy allows no inline
//     script or style, no other origin and no form that leads to one.
//   - It reads without JavaScript (it then reloads itself every 15 seconds), by
//     keyboard, at 400 % and without colours: every state has an icon and a word.
//   - Two pages at a time are made for anybody, two for who has logged in, and two of
//     those to log in with and for monitors: images come first, and whoever asks for more
//     waits (P9).
//   - Streams of events are bounded in number, also of one address (P9), and end with the request's context.
//
// What it deliberately does not do: decide who is who (package account), fetch anything
// from the network, or keep state of its own. Nobody is let in from outside the house:
// there is no remote assistance in this version.
//
// The page starts no goroutine. The server that carries it should set
// ReadHeaderTimeout (the page bounds forms and answers itself), and cancel its BaseContext before Shutdown, which otherwise
// waits for the streams of events.
package page
