/* Addresses of the app's pages, wherever below the server's name it is served (--prefix). */
(function () {
  "use strict";

  const prefix = document.documentElement.dataset.prefix || "";

  window.headscopeAddresses = {
    // Where the browser finds what the app has at a path: "/headscope/catalog".
    of: (path) => prefix + path,
    // Whether a page of the app is the one that is open.
    isHere: (path) => window.location.pathname === prefix + path,
  };
})();
