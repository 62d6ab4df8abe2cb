/* Presets and lessons in the browser: covering, pointing, going on, and how far a student has come. */
(function () {
  "use strict";

  const PROGRESS_KEY = "headscope-lessons";

  function readProgress() {
    try {
      return JSON.parse(window.localStorage.getItem(PROGRESS_KEY)) || {};
    } catch (error) {
      return {}; // storage may be forbidden, or hold something else
    }
  }

  function mark(className, wanted) {
    document.querySelectorAll("." + className).forEach(function (element) {
      if (!wanted.includes(element.id)) {
        element.classList.remove(className);
      }
    });
    wanted.forEach(function (id) {
      const element = id && document.getElementById(id);
      if (element && !element.classList.contains(className)) {
        element.classList.add(className);
      }
    });
  }

  let begun = ""; // the step whose target has been brought into view

  function markParts() {
    const guide = document.querySelector(".hs-guide");
    mark("hs-covered", guide ? guide.dataset.cover.split(" ") : []);
    let targets = guide ? guide.dataset.point.split(" ") : [];
    const step = guide ? guide.dataset.step + " " + guide.dataset.point : "";
    if (window.headscope && document.getElementById("workbench")) {
      targets = targets.map(function (id) {
        const element = id && document.getElementById(id);
        const target = element && window.headscope.standIn(element);
        return target ? target.id : id;
      });
      if (step && step !== begun && targets[0]) {
        window.headscope.bringIntoView(document.getElementById(targets[0]));
      }
    }
    begun = step;
    mark("hs-pointed", targets);
  }

  document.addEventListener("click", function (event) {
    const fold = event.target.closest && event.target.closest(".hs-guide-fold");
    if (fold) {
      const folded = fold.closest(".hs-guide").toggleAttribute("data-folded");
      fold.setAttribute("aria-expanded", String(!folded));
    }
  });

  function tellProgress() {
    const progress = readProgress();
    document.querySelectorAll("[data-lesson-progress]").forEach(function (line) {
      const saved = progress[line.dataset.lessonProgress];
      const steps = Number(line.dataset.lessonSteps);
      let message = "Not begun yet.";
      if (saved && saved.finished) {
        message = "Finished.";
      } else if (saved) {
        message = "You are at step " + Math.min(saved.step, steps) + " of " + steps + ".";
      }
      if (line.textContent !== message) {
        line.textContent = message;
      }
      const link = document.querySelector('[data-lesson-link="' + line.dataset.lessonProgress + '"]');
      // Written once: what this observer writes calls it again.
      if (link && saved && !saved.finished && link.textContent !== "Go on") {
        const query = new URLSearchParams({ v: 1, lesson: line.dataset.lessonProgress, step: saved.step });
        link.href = window.headscopeAddresses.of("/?" + query);
        link.textContent = "Go on";
      }
    });
  }

  new MutationObserver(function () {
    markParts();
    tellProgress();
  }).observe(document.documentElement, { childList: true, subtree: true, attributes: true, attributeFilter: ["data-cover", "data-point", "data-step"] });

  // One look at a token is enough to tell the server; a lesson may be waiting for it.
  let counted = false;
  ["mouseover", "focusin"].forEach(function (kind) {
    document.addEventListener(kind, function (event) {
      const token = event.target.closest && event.target.closest("#token-strip .hs-token");
      if (token && !counted && document.querySelector(".hs-guide")) {
        counted = true;
        window.dash_clientside.set_props("store-hovered", { data: Date.now() });
        window.setTimeout(function () {
          counted = false;
        }, 1500);
      }
    });
  });

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.headscope = Object.assign(window.dash_clientside.headscope || {}, {
    go: function (query) {
      if (query) {
        window.location.assign(window.headscopeAddresses.of("/" + query));
      }
      return window.dash_clientside.no_update;
    },
    openExample: function (key, model) {
      if (key) {
        const example = new URLSearchParams({ v: 1, model: model || "", preset: key });
        window.location.assign(window.headscopeAddresses.of("/?" + example));
      }
      return window.dash_clientside.no_update;
    },
    keepLesson: function (opened) {
      if (opened && opened.lesson) {
        const progress = readProgress();
        progress[opened.lesson] = { step: opened.step || 1, finished: Boolean(opened.finished) };
        try {
          window.localStorage.setItem(PROGRESS_KEY, JSON.stringify(progress));
        } catch (error) {
          /* then it lasts as long as the page */
        }
      }
      return "";
    },
  });
})();
