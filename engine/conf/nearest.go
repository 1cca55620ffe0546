package conf

import "strings"

// nearest returns the key whose name is most like the given one, or "" when
// none is close: a quarter of the letters may differ, letter case never counts.
func nearest(name string) string {
	lower := strings.ToLower(name)
	best, bestDistance := "", len(name)/4+1
	for i := range table {
		if d := distance(lower, strings.ToLower(table[i].Name), bestDistance); d < bestDistance {
			best, bestDistance = table[i].Name, d
		}
	}
	return best
}

// distance returns the number of letters to insert, delete or replace to
// make a into b, or some number not below limit when it is that far.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, diagonal+1, row[j]+1)
		}
	}
	return row[len(b)]
}
