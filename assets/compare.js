/* The page that compares: keeps its address up to date, and runs by Ctrl+Enter. */
(function () {
  "use strict";

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.compare = {
    showLink: function (query) {
      // Replaced, not pushed, and never the address of another page that was opened meanwhile.
      if (query && window.headscopeAddresses.isHere("/compare")) {
        window.history.replaceState(window.history.state, "", window.headscopeAddresses.of("/compare" + query));
      }
      return query || "";
    },
  };

  document.addEventListener("keydown", function (event) {
    const box = event.target.id;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)
        && (box === "compare-left" || box === "compare-right")) {
      event.preventDefault();
      document.getElementById("compare-run").click();
    }
  });
})();
