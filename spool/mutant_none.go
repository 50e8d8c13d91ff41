//go:build !mutant_nofilesync && !mutant_nodirsync && !mutant_noparentsync && !mutant_earlyanswer && !mutant_nosealcheck && !mutant_earlydelete && !mutant_nosyncfs && !mutant_secondsync && !mutant_indexahead && !mutant_clockorder && !mutant_earlynote

package spool

const mutant = "none"
