/* From the catalog to the live page, without loading the app anew. */
(function () {
  "use strict";

  function open(address) {
    const target = new URL(address, window.location.origin);
    window.dash_clientside.set_props("address", { pathname: target.pathname, search: target.search });
    window.scrollTo(0, 0);
  }

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.catalog = {
    openHead: function (click) {
      const place = document.getElementById("catalog-scores");
      const about = place && place.closest("[data-live]").dataset;
      if (about && about.live && click && click.points && click.points.length && click.points[0].customdata) {
        const head = click.points[0].customdata;
        open(about.live.replace("head=" + about.head, "head=" + head));
      }
      return null; // so that the same cell can be clicked again
    },
  };

  // The table is plain HTML, whose links would load the whole app.
  document.addEventListener("click", function (event) {
    const link = event.target.closest && event.target.closest("#catalog-body .hs-static a[href^='" + window.headscopeAddresses.of("/?") + "']");
    if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      open(link.getAttribute("href"));
    }
  });
})();
