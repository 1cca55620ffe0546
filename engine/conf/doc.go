// Package conf owns the configuration of a session: which keys there are,
// what each means, and what a user's texts for them come to.
//
// Keys, units and defaults are Spark's, with or without the "spark." prefix,
// so that a command line or a spark-defaults.conf that a user has at hand
// carries over; where a default differs, the key's Key.Doc says why. Its
// nouns are [Key] (one row of the table), [Settings] (every value typed and
// resolved), [Warning] (a key that will have no effect) and [Master].
//
// The package decides nothing about running: it reads text and returns
// values. It opens no file and logs nothing.
//
//	set, warnings, err := conf.Parse(map[string]string{"spark.memory.fraction": "0.6"})
package conf
