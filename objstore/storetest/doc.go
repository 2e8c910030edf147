// Package storetest is the suite that every objstore.Store passes. A store joins with
//
//	storetest.Run(t, func(t testing.TB) storetest.Env { ... })
//
// A store that is an objstore.Tree is tested as one, too, and one that is an objstore.Maintainer is checked at the end
// of every test, whatever the test did. [Model] and the two models of trees and files are what random operations are
// compared with; their seeds are in the names of the subtests, so that -run repeats one.
//
// [Fault] is for the tests of the layers above: a store that fails, falls short or is slow on request.
package storetest
