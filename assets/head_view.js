/* The column of the chosen head: which of its views is shown, and BertViz's page in a frame. */
(function () {
  "use strict";

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.headview = {
    show: function (view) {
      // Figures that were hidden have to be told how large they are.
      window.requestAnimationFrame(() => window.dispatchEvent(new Event("resize")));
      return "hs-head-views hs-head-shows-" + view;
    },
    // A new frame each time: feeding the same one would add a step to the Back button for every head.
    drawLines: function (html) {
      const place = document.getElementById("bertviz-place");
      const frame = document.createElement("iframe");
      frame.className = "hs-frame";
      frame.title = "BertViz view of the chosen head";
      frame.setAttribute("sandbox", "allow-scripts");
      frame.srcdoc = html || "";
      place.replaceChildren(...(html ? [frame] : []));
      return html ? "drawn" : "";
    },
  };
})();
