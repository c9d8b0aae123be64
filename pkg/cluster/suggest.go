package cluster

import "strings"

// suggest gives " (did you mean NAME?)" for the known name that is nearest to word, and "" when none is near.
func suggest(word string, known []string) string {
	if best := nearest(word, known); best != "" {
		return "; did you mean " + best + "?"
	}
	return ""
}

func nearest(word string, known []string) string {
	word = strings.ToLower(strings.ReplaceAll(word, "-", "_"))
	best, least := "", len(word)/2+1
	for _, name := range known {
		if d := distance(word, strings.ToLower(strings.ReplaceAll(name, "-", "_"))); d < least {
			best, least = name, d
		}
	}
	return best
}

// distance is the number of single letters to add, drop or change to make b of a (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
