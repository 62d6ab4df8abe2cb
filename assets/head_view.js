/* The column of the chosen head: which of its views is shown, and BertViz's page in a frame. */
(function () {
  "use strict";

  let drawn = null;

  // The frame's origin is its own and has no name; what it gets is what the page shows anyway.
  function send(frame) {
    if (drawn) {
      frame.contentWindow.postMessage(drawn, "*");
    }
  }

  window.addEventListener("message", function (event) {
    const frame = document.querySelector("#bertviz-place iframe");
    if (frame && event.source === frame.contentWindow && event.data === "headscope-frame-ready") {
      send(frame);
    }
  });

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.headview = {
    show: function (view) {
      // Figures that were hidden have to be told how large they are.
      window.requestAnimationFrame(() => window.dispatchEvent(new Event("resize")));
      return "hs-head-views hs-head-shows-" + view;
    },
    // One frame for all heads: it says when it is there, and then gets each head's numbers.
    drawLines: function (view) {
      const place = document.getElementById("bertviz-place");
      if (!view) {
        place.replaceChildren();
        return "";
      }
      drawn = view;
      if (place.firstChild) {
        send(place.firstChild);
      } else {
        const frame = document.createElement("iframe");
        frame.className = "hs-frame";
        frame.title = "BertViz view of the chosen head";
        frame.setAttribute("sandbox", "allow-scripts");
        frame.src = window.headscopeAddresses.of("/vendor/head-frame.html");
        place.replaceChildren(frame);
      }
      return "drawn";
    },
  };
})();
