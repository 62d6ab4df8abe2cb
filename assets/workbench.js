/* The workbench: what is shown of it on a phone, dialogs, and whether the box holds what is shown. */
(function () {
  "use strict";

  const narrow = window.matchMedia("(max-width: 1099.98px)");

  function bench() {
    return document.getElementById("workbench");
  }

  function showTab(key) {
    const place = bench();
    if (!place) {
      return;
    }
    if (place.dataset.tab !== key) {
      place.dataset.tab = key;
      window.scrollTo(0, 0);
    }
    delete place.dataset.sheet;
    place.querySelectorAll("[data-tab]").forEach(function (button) {
      button.setAttribute("aria-pressed", String(button.dataset.tab === key));
    });
    window.dispatchEvent(new Event("resize"));
  }

  function closeSheet() {
    const place = bench();
    if (place && place.dataset.sheet) {
      delete place.dataset.sheet;
      const cell = place.querySelector(".hs-cell-chosen");
      if (cell) {
        cell.focus({ preventScroll: true });
      }
    }
  }

  document.addEventListener("click", function (event) {
    const target = event.target.closest && event.target;
    if (!target) {
      return;
    }
    const tab = target.closest(".hs-phone-tab");
    if (tab) {
      showTab(tab.dataset.tab);
    } else if (target.closest("[data-sheet='close']")) {
      closeSheet();
    } else if (narrow.matches && bench() && target.closest("[data-choose]")) {
      // A head's own sheet stands over the map; from the answer one goes to the head.
      if ((bench().dataset.tab || "heads") === "answer") {
        showTab("head");
      } else {
        bench().dataset.sheet = "open";
        window.dispatchEvent(new Event("resize"));
      }
    } else if (narrow.matches && target.closest("[data-press*='suggestion']")) {
      showTab("heads");
    }
    const bar = document.querySelector(".hs-prompt-bar");
    const more = target.closest(".hs-bar-more");
    if (bar && (more || !target.closest(".hs-bar-menu"))) {
      const open = Boolean(more) && !bar.hasAttribute("data-open");
      bar.toggleAttribute("data-open", open);
      bar.querySelector(".hs-bar-more").setAttribute("aria-expanded", String(open));
    }
    if (narrow.matches && target.closest("#run")) {
      document.activeElement.blur(); // so that the keyboard goes and the page is seen
    }
    const opener = target.closest("[data-dialog]");
    if (opener) {
      const dialog = opener.closest("dialog") || document.getElementById(opener.dataset.dialog);
      if (opener.dataset.dialog === "close") {
        dialog.close();
      } else {
        dialog.showModal();
      }
    }
    if (target.matches("dialog[open]")) {
      target.close(); // the backdrop
    }
  });

  document.addEventListener("keydown", function (event) {
    if (event.key === "Escape") {
      closeSheet();
    }
  });

  // Where a lesson points: the tab, the view and the scroll position that bring it into sight.
  const VIEWS = { "part-bertviz": "lines", "part-heatmap": "heatmap", "head-facts": "scores", "head-writes": "writes" };

  // A view of the answer that is yet to be opened is reached by its tab.
  function standIn(element) {
    const view = element.closest(".hs-view");
    const hidden = view && window.getComputedStyle(view).display === "none";
    return hidden ? document.getElementById("view") : element;
  }

  function bringIntoView(target) {
    if (VIEWS[target.id]) {
      window.dash_clientside.set_props("head-view", { value: VIEWS[target.id] });
    }
    if (narrow.matches) {
      const pane = target.closest(".hs-roles, .hs-pane-map, .hs-pane-head, .hs-pane-answer");
      const tabs = { "hs-roles": "roles", "hs-pane-map": "heads", "hs-pane-head": "head", "hs-pane-answer": "answer" };
      Object.keys(tabs).forEach(function (name) {
        if (pane && pane.classList.contains(name)) {
          showTab(tabs[name]);
        }
      });
    }
    window.setTimeout(() => target.scrollIntoView({ block: narrow.matches ? "start" : "nearest" }), 60);
  }

  window.headscope = Object.assign(window.headscope || {}, { bringIntoView: bringIntoView, standIn: standIn });

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.workbench = {
    compareWithShown: function (prompt, model, shown, wanted) {
      const place = bench();
      const edited = Boolean(shown) && (shown.prompt !== (prompt || "") || shown.model !== model);
      if (place) {
        place.toggleAttribute("data-edited", edited && !wanted);
        place.toggleAttribute("data-waiting", Boolean(wanted));
      }
      return edited && !wanted ? "edited, not run" : "";
    },
    showAnswerView: function (view) {
      const tabs = document.getElementById("view");
      const pane = tabs && tabs.closest(".hs-pane");
      if (pane && view !== "next") {
        // What the tab shows stands beneath it.
        window.setTimeout(() => tabs.scrollIntoView({ block: "start" }), 60);
      }
      return "hs-views-of hs-show-" + view;
    },
  };
})();
