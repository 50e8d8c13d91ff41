// Package uplinktest has what tests of both ends of the uplink need: a throw-away
// certificate authority, and a Source and Keeper in memory that watch whether
// the promises of package uplink are kept. Only tests import it.
package uplinktest
