/* Saving files: the figures that are on the page, and what the browser alone knows for a lab record. */
(function () {
  "use strict";

  const ANSWER_KEY = "_dash_persistence.guide-answer.value.";
  const TITLE_ROOM = 36;
  const LEGEND_ROOM = 26;
  let names = {};
  let listing = 0;

  function isSeen(element) {
    if (element.checkVisibility) {
      // A preset may cover a figure until its reveal.
      return element.checkVisibility({ visibilityProperty: true });
    }
    return element.offsetParent !== null && window.getComputedStyle(element).visibility !== "hidden";
  }

  function findFigure(key) {
    return Array.from(document.querySelectorAll(".js-plotly-plot")).find(function (figure) {
      const options = figure._context && figure._context.toImageButtonOptions;
      return options && options.filename === key && figure.data && figure.data.length && isSeen(figure);
    });
  }

  const MAP = "headscope-map";
  const CELL = 24;

  // The map is no figure of Plotly's: a square for each of its cells, in the colour that it has on the page.
  function mapFigure() {
    const cells = Array.from(document.querySelectorAll("#head-grid .hs-cell"));
    if (!cells.length) {
      return null;
    }
    const at = cells.map((cell) => /^L(\d+)H(\d+)$/.exec(cell.dataset.head).slice(1).map(Number));
    const layers = Math.max(...at.map((head) => head[0])) + 1;
    const heads = Math.max(...at.map((head) => head[1])) + 1;
    const style = window.getComputedStyle(document.body);
    const looks = cells.map((cell) => window.getComputedStyle(cell));
    const lettered = !document.querySelector("#head-grid .hs-grid").dataset.scale;
    const axis = { showgrid: false, zeroline: false, dtick: layers > 16 ? 4 : 1 };
    const view = document.getElementById("map-view");
    const title = view ? view.options[view.selectedIndex].text : "";
    return {
      data: [
        {
          type: "scatter",
          mode: "markers+text",
          x: at.map((head) => head[1]),
          y: at.map((head) => head[0]),
          text: cells.map((cell) => (cell.classList.contains("hs-cell-off") ? "✕" : lettered ? cell.textContent : "")),
          textfont: { size: 9, color: style.color },
          marker: {
            symbol: "square",
            size: CELL - 3,
            color: looks.map((look) => look.backgroundColor),
            line: { width: 1.5, color: looks.map((look) => look.borderTopColor) },
          },
        },
      ],
      layout: {
        margin: { l: 60, r: 20, t: 10, b: 50 },
        paper_bgcolor: style.backgroundColor,
        plot_bgcolor: style.backgroundColor,
        font: { color: style.color, size: 11 },
        xaxis: Object.assign({ title: { text: "head (" + title + ")" }, range: [-0.5, heads - 0.5] }, axis),
        yaxis: Object.assign({ title: { text: "layer" }, range: [layers - 0.5, -0.5] }, axis),
      },
      offsetWidth: 80 + CELL * heads,
      offsetHeight: 60 + CELL * layers,
    };
  }

  function listFigures() {
    const place = document.getElementById("export-figures");
    if (!place) {
      return;
    }
    let shown = 0;
    place.querySelectorAll("[data-figure]").forEach(function (row) {
      const map = row.dataset.figure === MAP && document.querySelector("#head-grid .hs-cell");
      const here = Boolean(map || findFigure(row.dataset.figure));
      shown += here ? 1 : 0;
      if (row.hidden === here) {
        row.hidden = !here;
      }
    });
    const none = place.querySelector(".hs-export-none");
    if (none.hidden !== shown > 0) {
      none.hidden = shown > 0;
    }
  }

  // Hovering over a figure changes the page all the time: one look after a while is enough.
  let waiting = false;
  new MutationObserver(function () {
    if (!waiting) {
      waiting = true;
      window.setTimeout(function () {
        waiting = false;
        listFigures();
      }, 300);
    }
  }).observe(document.documentElement, { childList: true, subtree: true, attributes: true, attributeFilter: ["class", "open", "style"] });

  function tell(text) {
    window.dash_clientside.set_props("export-status", { children: text });
  }

  function saveFigure(key, kind) {
    const figure = key === MAP ? mapFigure() : findFigure(key);
    const named = names[key];
    if (!figure || !named || !window.Plotly) {
      tell("This figure is not on the page now.");
      return;
    }
    // A figure by itself should say what it is of.
    const layout = Object.assign({}, figure.layout);
    const margin = Object.assign({}, layout.margin);
    const height = figure.offsetHeight + TITLE_ROOM;
    margin.t = (margin.t || 0) + TITLE_ROOM;
    if (layout.showlegend) {
      // Above the plot too: it goes below the title.
      layout.legend = Object.assign({}, layout.legend, { yref: "container", yanchor: "top", y: 1 - TITLE_ROOM / height });
      margin.t += LEGEND_ROOM;
    }
    layout.margin = margin;
    layout.title = { text: named.title, x: 0.5, y: 1, yref: "container", yanchor: "top", pad: { t: 10 }, font: { size: 14 } };
    layout.autosize = false;
    const options = {
      format: kind,
      filename: named.name,
      width: Math.max(480, figure.offsetWidth),
      height: height,
      scale: kind === "png" ? 2 : 1,
    };
    window.Plotly.downloadImage({ data: figure.data, layout: layout }, options).then(
      function () {
        tell("Saved as " + named.name + "." + kind + ".");
      },
      function () {
        tell("This browser could not save the figure. Try the other format, or the camera in the figure's own toolbar.");
      },
    );
  }

  document.addEventListener("click", function (event) {
    const button = event.target.closest && event.target.closest("#export-figures [data-save]");
    if (button) {
      saveFigure(button.closest("[data-figure]").dataset.figure, button.dataset.save);
    }
  });

  // Dash keeps a typed answer under its question; the page shows but the one of the present step.
  function keptAnswer(question) {
    try {
      return JSON.parse(window.localStorage.getItem(ANSWER_KEY + JSON.stringify(question)))[0];
    } catch (error) {
      return null; // nothing was typed, or storage is forbidden
    }
  }

  function typedAnswers(questions) {
    const asked = document.querySelector(".hs-guide-question");
    const box = document.getElementById("guide-answer");
    const answers = {};
    questions.forEach(function (question) {
      const here = box && asked && asked.textContent.endsWith(question);
      const answer = here ? box.value : keptAnswer(question);
      if (typeof answer === "string" && answer.trim()) {
        answers[question] = answer;
      }
    });
    return answers;
  }

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.headscope = Object.assign(window.dash_clientside.headscope || {}, {
    askExport: function (clicks, query, questions) {
      const asked = window.dash_clientside.callback_context.triggered_id;
      if (!asked || !clicks.some(Boolean)) {
        return window.dash_clientside.no_update;
      }
      return {
        what: asked.what,
        // The address bar may still hold an earlier state where none can be written as a link.
        link: query ? window.location.origin + window.location.pathname + query : "",
        answers: typedAnswers(questions || []),
        at: Date.now(),
      };
    },
    keepFigureNames: function (given) {
      names = given || {};
      // After what the click is about has been drawn.
      window.clearTimeout(listing);
      listing = window.setTimeout(listFigures, 200);
      return "";
    },
  });
})();
