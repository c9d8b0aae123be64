package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/racker-project/racker/pkg/api"
	"github.com/racker-project/racker/pkg/stdio"
)

// questions is what a follower knows of the questions of its run.
type questions struct {
	open    []api.Question       // as they were last told
	settled map[string]time.Time // by node: when the question was asked that was answered from here
	tries   map[string]int       // by node: retries that the policy has answered
	deaf    bool                 // the terminal gives no more lines
	ended   bool                 // the run was cancelled from here, which ends all questions
}

func newQuestions() questions {
	return questions{settled: map[string]time.Time{}, tries: map[string]int{}}
}

// forget makes the open questions new again, for another way to tell them.
func (q *questions) forget() { q.open = nil }

// unsettled gives the questions that were not answered from here.
func (q *questions) unsettled(all []api.Question) []api.Question {
	return slices.DeleteFunc(slices.Clone(all), func(a api.Question) bool {
		at, is := q.settled[a.Node]
		return is && at.Equal(a.Asked)
	})
}

// without gives the questions of a that are not in b.
func without(a, b []api.Question) []api.Question {
	return slices.DeleteFunc(slices.Clone(a), func(x api.Question) bool {
		return slices.ContainsFunc(b, func(y api.Question) bool { return x.Node == y.Node && x.Asked.Equal(y.Asked) })
	})
}

// tellQuestions asks the questions that are open, or answers them by the policy that was given.
func (f *follower) tellQuestions() {
	if f.leaving {
		return
	}
	open := f.ask.unsettled(f.view.Questions)
	f.tellElsewhere(without(f.ask.unsettled(f.ask.open), f.view.Questions))
	fresh := without(open, f.ask.open)
	f.ask.open = open
	switch {
	case len(open) == 0:
		if f.disksAsked() == nil {
			f.line.ask("")
		}
	case f.onFailure != "":
		f.answerByPolicy(open)
	case !f.canAsk():
		f.tellWaiting(fresh)
	default:
		if len(fresh) > 0 || f.line.prompt == "" {
			f.line.tell(waitingText(open, f.io.Width()))
		}
		f.prompt(choicesText(open))
	}
}

// tellElsewhere says which questions another terminal has answered.
func (f *follower) tellElsewhere(gone []api.Question) {
	if len(gone) == 0 || f.ask.ended || f.view.State != runRunning {
		return
	}
	f.line.tell(foldedErr(f.io, cutList(wheres(gone))+": answered from elsewhere", 0))
}

// tellWaiting says, where nobody can be asked, that the run waits for somebody.
func (f *follower) tellWaiting(fresh []api.Question) {
	if len(fresh) > 0 {
		f.line.tell(fmt.Sprintf("Waiting for an answer about %s: racker run wait %s on a terminal, or with --onfailure",
			cutList(wheres(fresh)), runWord(f.view.ID)))
	}
}

func wheres(qs []api.Question) []string {
	var out []string
	for i := range qs {
		out = append(out, nodeName(&qs[i]))
	}
	return out
}

// nodeName is the node's name alone, by which an answer may call it.
func nodeName(q *api.Question) string {
	if words := strings.Fields(q.Where); len(words) > 0 {
		return words[0]
	}
	return q.Node
}

// waitingText says whom the question is about.
func waitingText(open []api.Question, width int) string {
	if len(open) == 1 {
		return wrap(stdio.Clean(open[0].Where)+" waits for an answer; the others go on.", width)
	}
	names := wheres(open)
	return wrap(fmt.Sprintf("%d servers wait for an answer: %s. The letter alone answers for all of them, followed by names for those.",
		len(names), cutList(names)), width)
}

// choicesText is the prompt of 2021, without what no question offers.
func choicesText(open []api.Question) string {
	var out []string
	for _, c := range answerWords() {
		if slices.ContainsFunc(open, func(q api.Question) bool { return slices.Contains(q.Choices, c.answer) }) {
			out = append(out, c.text)
		}
	}
	return strings.Join(out, ", ") + ": "
}

type answerWord struct{ letter, answer, text string }

func answerWords() []answerWord {
	return []answerWord{
		{"r", api.OnFailureRetry, "[r]etry"},
		{"e", api.OnFailureExclude, "[e]xclude nodes from cluster"},
		{"c", api.OnFailureCancel, "[c]ancel"},
	}
}

// answered takes what was typed at the prompt of the questions.
func (f *follower) answered(line string) {
	words := strings.Fields(line)
	if len(words) == 0 || len(f.ask.open) == 0 {
		f.tellQuestions()
		return
	}
	which, answer, err := f.chosen(words)
	if err != nil {
		f.line.tell(err.Error())
		f.prompt(choicesText(f.ask.open))
		return
	}
	f.send(answer, which)
	f.tellQuestions()
}

// chosen reads an answer: a letter or word of a choice, then the nodes that it is for, none for all.
func (f *follower) chosen(words []string) ([]api.Question, string, error) {
	said := strings.ToLower(words[0])
	i := slices.IndexFunc(answerWords(), func(c answerWord) bool { return said == c.letter || said == c.answer })
	if i < 0 {
		return nil, "", fmt.Errorf("%q is no answer", words[0])
	}
	answer, which := answerWords()[i].answer, f.ask.open
	if len(words) > 1 {
		which = nil
	}
	for _, w := range words[1:] {
		j := slices.IndexFunc(f.ask.open, func(q api.Question) bool { return f.means(&q, strings.Trim(w, ",")) })
		if j < 0 {
			return nil, "", fmt.Errorf("%q is not one of %s", w, strings.Join(wheres(f.ask.open), ", "))
		}
		which = append(which, f.ask.open[j])
	}
	for i := range which {
		if !slices.Contains(which[i].Choices, answer) {
			return nil, "", fmt.Errorf("%s cannot be answered with %s", nodeName(&which[i]), answer)
		}
	}
	return which, answer, nil
}

// means reports whether word names the node of a question, by any of its names.
func (f *follower) means(q *api.Question, word string) bool {
	i := slices.IndexFunc(f.view.Nodes, func(n api.NodeView) bool { return n.PrimaryMAC == q.Node })
	return strings.EqualFold(word, nodeName(q)) || word == q.Node || i >= 0 && answersTo(&f.view.Nodes[i], word)
}

// answerByPolicy answers without asking; a node that was tried often enough cancels the run.
func (f *follower) answerByPolicy(open []api.Question) {
	for _, q := range open {
		answer := f.onFailure
		if answer == api.OnFailureRetry {
			if f.ask.tries[q.Node]++; f.ask.tries[q.Node] > f.retries {
				answer = api.OnFailureCancel
			}
		}
		f.line.tell(stdio.Clean(q.Where) + ": " + answer)
		f.send(answer, []api.Question{q})
	}
}

// manyAnswers is how many questions are answered one by one; more at once are answered with one request, since each brings
// the whole run back.
const manyAnswers = 8

// send answers questions. What another terminal answered first is said; what went wrong is asked again.
func (f *follower) send(answer string, which []api.Question) {
	id := f.view.ID
	f.ask.ended = f.ask.ended || answer == api.OnFailureCancel
	orders := make([]api.Answer, 0, len(which))
	for _, q := range which {
		f.ask.settled[q.Node] = q.Asked
		orders = append(orders, api.Answer{Node: q.Node, Answer: answer})
	}
	if len(which) == len(f.view.Questions) && len(which) > manyAnswers {
		orders = []api.Answer{{Answer: answer}}
	}
	f.do(func(ctx context.Context) func() error {
		errs := make([]error, len(orders))
		for i, a := range orders {
			_, errs[i] = f.runs.Answer(ctx, id, a)
		}
		return func() error {
			f.sent(which, errs)
			return nil
		}
	})
}

// sent tells what became of answers; one error is for all of them where one request was.
func (f *follower) sent(which []api.Question, errs []error) {
	for i, q := range which {
		err := errs[min(i, len(errs)-1)]
		var refused *api.Error
		switch {
		case err == nil:
		case errors.As(err, &refused) && refused.Code == codeLocked:
			f.line.tell(nodeName(&q) + ": answered from elsewhere")
		default:
			f.line.tell(foldedErr(f.io, nodeName(&q)+": the answer did not arrive: "+err.Error(), 0))
			delete(f.ask.settled, q.Node)
			if f.onFailure == api.OnFailureRetry {
				f.ask.tries[q.Node]--
			}
		}
	}
	f.tellQuestions()
}
