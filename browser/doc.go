// Package browser tests the sites of the shop and of its operators in Chromium, with the executables as they are released. In
// every test, a page may call its own site only, and the browser's console must stay without errors. It needs the build tag
// browser, and what make test-browser builds.
package browser
