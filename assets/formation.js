/* The page about how heads form: draws the grid, the numbers and the slider's place.
   Everything is in the page already (components/formation/film.py), so a move of the slider asks no server. */
(function () {
  "use strict";

  // Scores below this would hardly be seen.
  const FAINTEST = 0.06;

  function roleText(film, passed) {
    if (!passed.length) {
      return "no role's threshold is reached";
    }
    return passed.map((role) => film.roles[role[0]].name + " " + role[1].toFixed(2)).join("; ");
  }

  function drawCells(film, index) {
    const tokens = film.tokens[index];
    document.querySelectorAll("#formation-grid [data-cell]").forEach(function (cell) {
      const number = Number(cell.dataset.cell);
      const passed = film.cells[index][number];
      const main = passed.length ? film.roles[passed[0][0]] : null;
      const pointed = film.pointed[number] !== null && tokens > film.pointed[number];
      const text = film.heads[number] + ": " + roleText(film, passed)
        + (pointed ? "; pointed at its target by the scaffold" : "");
      cell.firstChild.textContent = main ? main.letter : "·";
      cell.lastChild.textContent = " " + text;
      cell.title = text;
      cell.classList.toggle("hs-form-pointed", pointed);
      cell.style.setProperty("--strength", main ? Math.max(FAINTEST, passed[0][1]) : 0);
      cell.style.setProperty("--hue-light", main ? main.light : "transparent");
      cell.style.setProperty("--hue-dark", main ? main.dark : "transparent");
    });
  }

  function drawNumbers(film, index) {
    film.best[index].forEach(function (best, role) {
      const cells = document.querySelectorAll('.hs-form-numbers [data-role="' + role + '"]');
      [String(best[0]), best[1], best[2].toFixed(2)].forEach(function (text, place) {
        if (cells[place]) {
          cells[place].textContent = text;
        }
      });
    });
  }

  // Browsers refuse an address that changes too often: it follows once the slider rests.
  let address = null;
  function keepAddress(film, index) {
    window.clearTimeout(address);
    address = window.setTimeout(function () {
      if (window.headscopeAddresses.isHere("/formation") && document.getElementById("formation-grid")) {
        const query = new URLSearchParams({ v: 1, model: film.model, tokens: film.tokens[index] });
        window.history.replaceState(window.history.state, "", window.headscopeAddresses.of("/formation?" + query));
      }
    }, 400);
  }

  function lessMotion() {
    return window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  }

  function playButton(playing) {
    const icon = { type: "I", namespace: "dash_html_components", props: {
      className: "bi bi-" + (playing ? "pause" : "play") + "-fill", "aria-hidden": "true" } };
    const word = { type: "Span", namespace: "dash_html_components", props: {
      className: "hs-play-word", children: playing ? "Pause" : "Play" } };
    return [icon, word];
  }

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.formation = {
    figures: function (film, theme) {
      const stay = window.dash_clientside.no_update;
      if (!film) {
        return [stay, stay, stay];
      }
      const figures = film.figures[theme === "dark" ? "dark" : "light"];
      return [figures.loss, figures.accuracy, figures.scores];
    },
    draw: function (value, film) {
      const stay = window.dash_clientside.no_update;
      if (!film || !document.getElementById("formation-grid")) {
        return [stay, stay];
      }
      const index = Math.min(Math.max(Number(value) || 0, 0), film.tokens.length - 1);
      drawCells(film, index);
      drawNumbers(film, index);
      keepAddress(film, index);
      document.getElementById("formation-body").style.setProperty("--now", film.shares[index]);
      document.getElementById("formation-step").setAttribute("aria-valuetext", film.labels[index]);
      return [film.labels[index], film.messages[index]];
    },
    // One step, or play and pause. While it plays nothing is read out: that would never end.
    step: function (back, next, play, ticks, value, last, resting) {
      const stay = window.dash_clientside.no_update;
      const asked = window.dash_clientside.callback_context.triggered_id;
      const here = Number(value);
      const status = document.getElementById("formation-status");
      if (asked === "formation-back" || asked === "formation-next") {
        const to = here + (asked === "formation-next" ? 1 : -1);
        return [Math.min(Math.max(to, 0), last), true, playButton(false)];
      }
      if (asked === "formation-play") {
        const start = resting && !lessMotion();
        status.setAttribute("aria-live", start ? "off" : "polite");
        // From the end it starts anew.
        const to = resting ? (here >= last ? 0 : here + 1) : here;
        return [to, !start, playButton(start)];
      }
      if (resting) {
        return [stay, stay, stay];
      }
      const ends = here + 1 >= last;
      if (ends) {
        status.setAttribute("aria-live", "polite");
      }
      return [Math.min(here + 1, last), ends, playButton(!ends)];
    },
  };

  document.addEventListener("click", function (event) {
    const go = event.target.closest && event.target.closest(".hs-go[data-checkpoint]");
    if (go) {
      window.dash_clientside.set_props("formation-step", { value: Number(go.dataset.checkpoint) });
    }
  });
})();
