/* The retrieval lab: which part of the form is shown, choosing heads and sentences, shades, the address. */
(function () {
  "use strict";

  // Attention from which a token is shaded in full; even a head that looks at one place spreads over a few.
  const FULL = 0.4;
  let looks = null;

  function shade() {
    const text = document.getElementById("lab-tokens");
    if (!text || !looks) {
      return;
    }
    text.querySelectorAll("[data-t]").forEach(function (token) {
      const look = looks[Number(token.dataset.t)] || 0;
      token.style.setProperty("--look", Math.min(1, look / FULL).toFixed(3));
      token.title = "token " + token.dataset.t + ": " + Math.round(look * 1000) / 10 + "%";
    });
  }

  // Where the chosen head looks stands beside the rankings, or below them where they fill the screen.
  function choose(head) {
    window.dash_clientside.set_props("lab-head", { value: head });
    if (window.matchMedia("(max-width: 1099.98px)").matches) {
      document.querySelector(".hs-lab-head-pane").scrollIntoView({ block: "start" });
    }
  }

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.lab = {
    showForm: function (question) {
      return "hs-lab-form hs-lab-" + (question === "own" ? "own" : "generated") + "-form";
    },
    tellK: function (k) {
      return k === null || k === undefined ? "" : String(k);
    },
    shade: function (data) {
      looks = data;
      shade();
      return data ? "shaded" : "";
    },
    // What the head looks at is the last to come of a reading.
    waiting: function (data) {
      return "hs-bench hs-lab-bench" + (data ? "" : " hs-lab-waiting");
    },
    showLink: function (query) {
      // Replaced, not pushed, and never the address of another page that was opened meanwhile.
      if (query && window.headscopeAddresses.isHere("/lab")) {
        window.history.replaceState(window.history.state, "", window.headscopeAddresses.of("/lab" + query));
      }
      return query || "";
    },
    pick: function (click) {
      if (click && click.points && click.points.length && click.points[0].customdata) {
        choose(click.points[0].customdata);
      }
      return null; // so that the same cell can be clicked again
    },
  };

  document.addEventListener("headscope:filled", function (event) {
    if (event.target.id === "lab-tokens") {
      shade();
    }
  });

  document.addEventListener("click", function (event) {
    const head = event.target.closest && event.target.closest("[data-pick]");
    if (head) {
      choose(head.dataset.pick);
    }
    const sentence = event.target.closest && event.target.closest("[data-sentence]");
    if (sentence) {
      const chosen = sentence.getAttribute("aria-pressed") === "true" ? null : Number(sentence.dataset.sentence);
      window.dash_clientside.set_props("lab-needle", { data: chosen });
    }
  });

  // The slider's number follows at once, before the server hears of it.
  document.addEventListener("input", function (event) {
    if (event.target.id === "lab-k") {
      document.getElementById("lab-k-status").textContent = event.target.value;
    }
  });

  document.addEventListener("keydown", function (event) {
    const run = document.getElementById("lab-run");
    if (run && event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.closest(".hs-lab-form")) {
      event.preventDefault();
      // A box tells what was typed in it once it is left.
      event.target.blur();
      run.click();
      event.target.focus();
    }
  });
})();
