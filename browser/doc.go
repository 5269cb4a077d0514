// Package browser tests the sites of the shop and of its operators as people meet them: in Chromium, with the executables as
// they are. Whatever a test is about, its pages may ask nobody but their own site, and nothing may go wrong in the browser's
// console. It takes the build tag browser, and what make test-browser builds.
package browser
