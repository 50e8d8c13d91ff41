package objects_test

import (
	"edged/hub"
)

type objectID = hub.ID

const childDir = "OBJECTS_TEST_CHILD"

func uploadAndDie(string) {}
