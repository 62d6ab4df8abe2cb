/* Fills every element that has `data-html` (components/plain_html.py). What is there already is changed in
   place (morphdom), so that keyboard focus, selection and open folds stay. */
(function () {
  "use strict";

  function fill(place) {
    const fresh = place.cloneNode(false);
    fresh.innerHTML = place.dataset.html;
    fresh.querySelectorAll("details").forEach(function (fold) {
      fold.dataset.open = fold.open;
    });
    window.morphdom(place, fresh, {
      childrenOnly: true,
      onBeforeElUpdated: function (from, to) {
        // What the server has left out because it is here already.
        if (to.dataset && to.dataset.kept !== undefined) {
          return false;
        }
        // A fold that the reader has opened or closed stays so, unless the server means it otherwise now.
        if (from.tagName === "DETAILS" && from.dataset.open === to.dataset.open) {
          to.open = from.open;
        }
        return !from.isEqualNode(to);
      },
    });
    place.dispatchEvent(new CustomEvent("headscope:filled", { bubbles: true }));
  }

  function fillIn(root) {
    if (root.nodeType !== Node.ELEMENT_NODE) {
      return;
    }
    if (root.dataset.html !== undefined) {
      fill(root);
    }
    root.querySelectorAll("[data-html]").forEach(fill);
  }

  new MutationObserver(function (changes) {
    changes.forEach(function (change) {
      if (change.type === "attributes") {
        fill(change.target);
      } else {
        change.addedNodes.forEach(fillIn);
      }
    });
  }).observe(document.documentElement, {
    attributes: true,
    attributeFilter: ["data-html"],
    childList: true,
    subtree: true,
  });

  // A link within the app that Dash did not draw: the page changes without being loaded anew.
  document.addEventListener("click", function (event) {
    const link = event.target.closest && event.target.closest("a[data-page]");
    if (link && !(event.ctrlKey || event.metaKey || event.shiftKey || event.button)) {
      event.preventDefault();
      window.history.pushState({}, "", link.getAttribute("href"));
      window.dispatchEvent(new CustomEvent("_dashprivate_pushstate"));
      window.scrollTo(0, 0);
    }
  });
})();
