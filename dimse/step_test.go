package dimse

import (
	"context"
	"testing"
)

// register is a StepSCP that keeps what it hears and names what has no name.
type register struct{ heard []string }

func (r *register) CreateStep(_ context.Context, _ *Association, uid string, d DataSet) Answer {
	r.heard = append(r.heard, "create "+uid+" "+d.TransferSyntaxUID+" "+string(d.Bytes))
	if uid == "" {
		uid = "2.25.99"
	}
	return Answer{InstanceUID: uid}
}

func (r *register) SetStep(_ context.Context, _ *Association, uid string, d DataSet) Answer {
	r.heard = append(r.heard, "set "+uid+" "+d.TransferSyntaxUID+" "+string(d.Bytes))
	return Answer{Status: StatusProcessingFailure, ErrorID: 0xA710, Comment: "Performed Procedure Step Object may no longer be updated, whatever"}
}

// N-CREATE and N-SET carry their attribute lists as they are, a step without a
// name gets one, and a refusal comes with its error ID and as much of its comment
// as 64 bytes hold (PS3.7 §10.3.3, §10.3.5).
func TestStepsThereAndBack(t *testing.T) {
	r := &register{}
	_, port := serveTCP(t, ServerConfig{Handler: &keeper{}, Steps: r})
	c := testDial(t, port, Proposal{AbstractSyntax: PerformedProcedureStep, TransferSyntaxes: []string{ExplicitVRLE}})
	attributes := DataSet{ExplicitVRLE, []byte("attributes")}
	for uid, want := range map[string]string{"2.25.5": "2.25.5", "": "2.25.99"} {
		if rsp, err := c.CreateStep(t.Context(), uid, attributes); err != nil || rsp.Status != StatusSuccess || rsp.InstanceUID != want {
			t.Errorf("create %q: %+v, %v", uid, rsp, err)
		}
	}
	rsp, err := c.SetStep(t.Context(), "2.25.5", attributes)
	if err != nil || rsp.Status != StatusProcessingFailure || rsp.ErrorID != 0xA710 || rsp.Comment != "Performed Procedure Step Object may no longer be updated, whatev" || rsp.InstanceUID != "2.25.5" {
		t.Errorf("set: %+v, %v", rsp, err)
	}
	if rsp, err := c.SetStep(t.Context(), "", attributes); err != nil || rsp.Status != StatusInvalidInstance {
		t.Errorf("set without a name: %+v, %v", rsp, err)
	}
	if err := c.Release(t.Context()); err != nil {
		t.Error(err)
	}
	if len(r.heard) != 3 || r.heard[2] != "set 2.25.5 "+ExplicitVRLE+" attributes" {
		t.Errorf("heard %q", r.heard)
	}
}

// Roles are answered by what is offered: a requestor of storage is SCP only where
// it asks for C-GET, too; nobody is given a role that it did not ask for (PS3.7
// §D.3.3.4).
func TestRolesByWhatIsOffered(t *testing.T) {
	ask := func(p Policy, role Role, classes ...string) []Role {
		rq := &AssociateRQ{ProtocolVersion: 1, ApplicationContext: ApplicationContext, User: UserInfo{Roles: []Role{role, role, {"2.25.1", true, true}}}}
		for i, class := range classes {
			rq.Contexts = append(rq.Contexts, Proposal{byte(2*i + 1), class, []string{ImplicitVRLE}})
		}
		p.Accepts = func(Peer, string) bool { return true }
		ac, reject := Negotiate(rq, Peer{}, p)
		if reject != nil {
			t.Fatal(reject)
		}
		return ac.User.Roles
	}
	for name, c := range map[string]struct {
		got  []Role
		want Role
	}{
		"storage alone":        {ask(Policy{}, Role{ctImage, true, true}, ctImage), Role{ctImage, true, false}},
		"storage behind C-GET": {ask(Policy{}, Role{ctImage, false, true}, ctImage, StudyRootGet), Role{ctImage, false, true}},
		"not asked for":        {ask(Policy{}, Role{ctImage, true, false}, ctImage, StudyRootGet), Role{ctImage, true, false}},
		"reports not taken":    {ask(Policy{}, Role{StorageCommitmentPush, true, true}, StorageCommitmentPush), Role{StorageCommitmentPush, true, false}},
		"reports taken":        {ask(Policy{TakesReports: true}, Role{StorageCommitmentPush, false, true}, StorageCommitmentPush), Role{StorageCommitmentPush, false, true}},
	} {
		if len(c.got) != 1 || c.got[0] != c.want {
			t.Errorf("%s: %+v, want %+v alone", name, c.got, c.want)
		}
	}
}

// Services are offered by device; who asks what was proposed and answered gets
// all of it but secrets.
func TestServicesAreOfferedByDevice(t *testing.T) {
	accepts := func(p Peer, class string) bool { return class != StorageCommitmentPush || p.Calling == "CT2" }
	opened := make(chan *Association, 2)
	_, port := serveTCP(t, ServerConfig{Handler: &keeper{}, Commitment: newOffice(), Accepts: accepts, Observer: &openings{opened: opened}})
	for _, title := range []string{"CT1", "CT2"} {
		cfg := clientConfig(port, commitmentProposal(ImplicitVRLE), ctProposal)
		cfg.Calling, cfg.Identity = title, &UserIdentity{Type: 2, Primary: []byte("who"), Secondary: []byte("secret")}
		c, err := Dial(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		n := (<-opened).Negotiation()
		if id := n.Request.User.Identity; id == nil || id.Type != 2 || id.Primary != nil || id.Secondary != nil {
			t.Errorf("identity kept: %+v", id)
		}
		if got := n.Answer.Contexts[0].Result == ContextAccepted; got != (title == "CT2") || len(n.Request.Contexts) != 2 || len(c.Contexts()) != len((&Association{talk: n, contexts: agreed(n.Request.Contexts, n.Answer.Contexts)}).Contexts()) {
			t.Errorf("%s: commitment accepted: %v", title, got)
		}
		c.Release(t.Context())
	}
}

type openings struct{ opened chan *Association }

func (*openings) Refused(Peer, Reject, Negotiation) {}
func (o *openings) Opened(a *Association)           { o.opened <- a }
func (*openings) Closed(*Association, error)        {}
