package policy

import "strings"

// glob reports whether s matches pattern, where * is any number of characters and ? is one. It takes no more than
// len(pattern) * len(s) steps.
func glob(pattern, s string) bool {
	star, mark := -1, 0 // where the last * was, and how much of s it has taken
	i, j := 0, 0
	for i < len(s) {
		switch {
		case j < len(pattern) && pattern[j] == '*':
			star, mark = j, i
			j++
		case j < len(pattern) && pattern[j] == '?':
			i += runeLen(s[i:])
			j++
		case j < len(pattern) && pattern[j] == s[i]:
			i++
			j++
		case star >= 0:
			mark++
			i, j = mark, star+1
		default:
			return false
		}
	}
	return strings.Trim(pattern[j:], "*") == ""
}

// runeLen is the length of the first character of s, which is not empty.
func runeLen(s string) int {
	for i := range s {
		if i > 0 {
			return i
		}
	}
	return len(s)
}

// globARN matches each of the six parts of an ARN by itself, so that no * reaches over a colon of the first five.
func globARN(pattern, arn string) bool {
	for range 5 {
		p, prest, pok := strings.Cut(pattern, ":")
		a, arest, aok := strings.Cut(arn, ":")
		if !pok || !aok || !glob(p, a) {
			return false
		}
		pattern, arn = prest, arest
	}
	return glob(pattern, arn)
}

func isARN(s string) bool {
	return strings.HasPrefix(s, "arn:") && strings.Count(s, ":") >= 5
}
