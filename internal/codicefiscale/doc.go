// Package codicefiscale reads the codice fiscale, the number by which Italy knows a
// person, and says what can be said about one: nothing here looks anybody up.
//
// Three levels, each on its own:
//
//	Accepted   what the national gateway takes: 16 characters with a right check
//	           character, the provisional number of 11 digits, ENI and STP
//	           with 13 digits
//	Strict     the shape of decree 23.12.1976: letters, digits or their stand-ins,
//	           a month, a day, a check character
//	Compare    what the date of birth, the sex and the name of somebody say against it
//
// Omocodia: two people would have the same number, so digits of the later one are
// replaced by letters, from right to left (L M N P Q R S T U V for 0 to 9). Such a
// number is as good as any other; Base undoes the replacing, for comparing alone.
//
// It promises to be pure, to take any text, however long, in constant memory, and never to
// correct anything: the official number is the one that was assigned.
//
// It deliberately has no list of places of birth, and takes no number of 16 characters
// for wrong because of its place.
package codicefiscale
