/* The glossary: filter, and scroll to the word in the address. The "?" marks of all pages: keep their
   boxes in sight, one open at a time, closed by Escape or by a click elsewhere. */
(function () {
  "use strict";

  function showWord() {
    const key = decodeURIComponent(window.location.hash.slice(1));
    const word = ["/glossary", "/words"].some(window.headscopeAddresses.isHere) && key ? document.getElementById("word-" + key) : null;
    if (word) {
      const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
      word.scrollIntoView({ block: "center", behavior: still ? "auto" : "smooth" });
      word.focus({ preventScroll: true });
    }
  }

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.glossary = {
    filter: function (text) {
      const parts = (text || "").toLowerCase().split(/\s+/).filter(Boolean);
      const words = Array.from(document.querySelectorAll(".hs-word"));
      let shown = 0;
      words.forEach(function (word) {
        const found = parts.every((part) => word.dataset.word.includes(part));
        word.hidden = !found;
        shown += found ? 1 : 0;
      });
      document.querySelectorAll(".hs-word-group").forEach(function (group) {
        group.hidden = !group.querySelector(".hs-word:not([hidden])");
      });
      if (!parts.length) {
        showWord();
        return words.length + " words";
      }
      return shown ? shown + " of " + words.length + " words" : "No word fits. Try a shorter one.";
    },
  };

  // A link to another word of the page changes the address alone; Dash tells of it by an event of its own.
  window.addEventListener("hashchange", showWord);
  window.addEventListener("_dashprivate_pushstate", () => window.setTimeout(showWord, 50));

  function keepInSight(mark) {
    const box = mark.querySelector(".hs-help-box");
    box.style.removeProperty("--shift");
    const place = box.getBoundingClientRect();
    const over = place.right - (document.documentElement.clientWidth - 8);
    if (over > 0) {
      box.style.setProperty("--shift", -Math.min(over, place.left - 8) + "px");
    }
  }

  function closeOthers(but) {
    document.querySelectorAll(".hs-help[open]").forEach(function (mark) {
      if (mark !== but) {
        mark.open = false;
      }
    });
  }

  // "toggle" does not bubble, so it is caught on its way down.
  document.addEventListener("toggle", function (event) {
    const mark = event.target;
    if (mark.classList && mark.classList.contains("hs-help") && mark.open) {
      closeOthers(mark);
      keepInSight(mark);
    }
  }, true);
  document.addEventListener("click", function (event) {
    closeOthers(event.target.closest && event.target.closest(".hs-help"));
  });
  document.addEventListener("keydown", function (event) {
    const open = event.key === "Escape" && document.querySelector(".hs-help[open]");
    if (open) {
      open.open = false;
      if (open.contains(document.activeElement)) {
        open.querySelector("summary").focus();
      }
    }
  });
})();
