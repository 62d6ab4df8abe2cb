/* What the page does without asking the server: theme, keys, and shading the token strip. */
(function () {
  "use strict";

  const THEME_KEY = "headscope-theme";
  let themeClicks = 0;
  let pattern = null;
  let chosen = null;
  const PAUSE_MS = 300;
  const pauses = {};

  function storedTheme() {
    try {
      return window.localStorage.getItem(THEME_KEY);
    } catch (error) {
      return null; // storage may be forbidden; then the system's choice stands
    }
  }

  function currentTheme() {
    const dark = window.matchMedia("(prefers-color-scheme: dark)").matches;
    return storedTheme() || (dark ? "dark" : "light");
  }

  function applyTheme(theme) {
    document.documentElement.dataset.bsTheme = theme;
  }

  applyTheme(currentTheme());

  // The clipboard's own interface is closed to pages without https, as a class often has them.
  function copyText(text) {
    const box = document.createElement("textarea");
    box.value = text;
    box.setAttribute("readonly", "");
    box.style.position = "fixed";
    box.style.opacity = "0";
    document.body.appendChild(box);
    const focused = document.activeElement;
    box.select();
    let copied = false;
    try {
      copied = document.execCommand("copy");
    } catch (error) {
      copied = false;
    }
    box.remove();
    if (focused) {
      focused.focus({ preventScroll: true });
    }
    return copied;
  }

  // A request that is too large is not sent: the server would end the connection before its answer is read.
  // One that the server refuses all the same (413) gets the same message.
  const send = window.fetch;
  window.fetch = function (resource, options) {
    const place = document.getElementById("request-alert");
    const limit = Number(place && place.dataset.limit) || Infinity;
    const body = options && options.body;
    // A character takes at most four bytes.
    if (typeof body === "string" && body.length > limit / 4 && new Blob([body]).size > limit) {
      place.hidden = false;
      return Promise.resolve(new Response("", { status: 413 }));
    }
    return send.apply(window, arguments).then(function (answer) {
      if (place && answer.status === 413) {
        place.hidden = false;
      }
      return answer;
    });
  };
  document.addEventListener("input", function () {
    const place = document.getElementById("request-alert");
    if (place) {
      place.hidden = true;
    }
  });

  window.dash_clientside = window.dash_clientside || {};
  // Each script of the page adds its own; which one comes first does not matter.
  window.dash_clientside.headscope = Object.assign(window.dash_clientside.headscope || {}, {
    theme: function (clicks) {
      let theme = currentTheme();
      // Another page's figures ask too, with the clicks of before.
      if (clicks && clicks !== themeClicks) {
        themeClicks = clicks;
        theme = document.documentElement.dataset.bsTheme === "dark" ? "light" : "dark";
        try {
          window.localStorage.setItem(THEME_KEY, theme);
        } catch (error) {
          /* the choice then lasts as long as the page */
        }
      }
      applyTheme(theme);
      return [theme, window.dash_clientside.callback_context.outputs_list[1].map(() => theme)];
    },
    pageTitle: function (links) {
      const here = (links || []).find((link) => link.props.className.includes("hs-nav-here"));
      document.title = here ? "HeadScope: " + here.props.children : "HeadScope";
      window.requestAnimationFrame(function () {
        document.querySelectorAll(".hs-nav-link").forEach(function (link) {
          link.toggleAttribute("aria-current", link.classList.contains("hs-nav-here"));
          if (link.hasAttribute("aria-current")) {
            link.setAttribute("aria-current", "page");
          }
        });
      });
      return document.title;
    },
    showLink: function (query) {
      if (!query) {
        return window.dash_clientside.no_update;
      }
      // Replaced, not pushed: the Back button leaves the page instead of undoing each click. An answer that
      // comes late must not change the address of another page.
      if (window.location.pathname === "/") {
        window.history.replaceState(window.history.state, "", "/" + query);
      }
      return query;
    },
    chooseClicked: function (click) {
      if (click && click.points && click.points.length && click.points[0].customdata) {
        window.dash_clientside.set_props("store-selected", { data: click.points[0].customdata });
      }
      return null; // so that the same cell can be clicked again
    },
    showCatalog: function (model, role) {
      if (window.location.pathname === "/catalog" && model && role) {
        const query = new URLSearchParams({ model: model, role: role });
        window.history.replaceState(window.history.state, "", "/catalog?" + query);
      }
      return role;
    },
    copyLink: function () {
      return copyText(window.location.href) ? "Link copied." : "Copy the link from the address bar.";
    },
    showView: function (view) {
      return "hs-views-of hs-show-" + view;
    },
    markChosen: function (head) {
      chosen = head;
      markCells();
      return head || "";
    },
    // What was typed is sent to the server once the typing pauses, not at every key. The box itself is never
    // late: what is run is what it holds.
    typingPaused: function (text) {
      const call = window.dash_clientside.callback_context;
      const box = call.inputs_list[0].id;
      const store = call.outputs_list.id;
      window.clearTimeout(pauses[box]);
      pauses[box] = window.setTimeout(function () {
        // Another page may have been opened meanwhile.
        if (document.getElementById(box)) {
          window.dash_clientside.set_props(store, { data: text });
        }
      }, PAUSE_MS);
      return window.dash_clientside.no_update;
    },
    keepPattern: function (data) {
      pattern = data;
      clearShades();
      return data ? data.head : "";
    },
  });

  document.addEventListener("keydown", function (event) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      const run = document.getElementById("run");
      if (run && event.target.id === "prompt") {
        event.preventDefault();
        run.click();
      }
      return;
    }
    moveInGrid(event);
  });


  // Whatever stands for a head chooses it: one listener instead of a request for every cell that is drawn.
  document.addEventListener("click", function (event) {
    const head = event.target.closest && event.target.closest("[data-choose]");
    if (head) {
      window.dash_clientside.set_props("store-selected", { data: head.dataset.choose });
    }
  });

  // A button that Dash did not draw tells what it is for.
  let presses = 0;
  document.addEventListener("click", function (event) {
    const button = event.target.closest && event.target.closest("[data-press]");
    if (button) {
      presses += 1;
      const pressed = Object.assign(JSON.parse(button.dataset.press), { presses: presses });
      window.dash_clientside.set_props("store-pressed", { data: pressed });
    }
  });

  document.addEventListener("click", function (event) {
    const token = event.target.closest && event.target.closest("[data-position]");
    if (token) {
      window.dash_clientside.set_props("shown-position", { value: token.dataset.position });
      window.dash_clientside.set_props("view", { value: "next" });
    }
  });

  document.addEventListener("click", function (event) {
    const button = event.target.closest && event.target.closest("[data-copy]");
    if (button) {
      const copied = copyText(window.location.origin + button.dataset.copy);
      button.nextElementSibling.textContent = copied ? " copied" : " " + window.location.origin + button.dataset.copy;
    }
  });

  const KEYS = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"];

  function moveInGrid(event) {
    const cell = event.target.closest && event.target.closest(".hs-cell");
    if (!cell || !KEYS.includes(event.key)) {
      return;
    }
    const grid = cell.closest(".hs-grid");
    const cells = Array.from(grid.querySelectorAll(".hs-cell"));
    const columns = Number(grid.dataset.columns);
    const here = cells.indexOf(cell);
    const column = here % columns;
    let next = here;
    if (event.key === "ArrowLeft" && column > 0) next = here - 1;
    if (event.key === "ArrowRight" && column < columns - 1) next = here + 1;
    if (event.key === "ArrowUp") next = here - columns;
    if (event.key === "ArrowDown") next = here + columns;
    if (event.key === "Home") next = here - column;
    if (event.key === "End") next = here - column + columns - 1;
    event.preventDefault();
    if (next !== here && next >= 0 && next < cells.length) {
      cells[next].focus();
      cells[next].click();
    }
  }

  function markCells() {
    if (!chosen) {
      return;
    }
    document.querySelectorAll(".hs-cell").forEach(function (cell) {
      const marked = cell.dataset.head === chosen;
      if (cell.classList.contains("hs-cell-chosen") !== marked || cell.tabIndex !== (marked ? 0 : -1)) {
        cell.classList.toggle("hs-cell-chosen", marked);
        cell.setAttribute("aria-pressed", String(marked));
        cell.tabIndex = marked ? 0 : -1;
      }
    });
  }

  // Another prompt or a head switched off draws the grid anew: the mark stays on its cell.
  document.addEventListener("headscope:filled", markCells);

  function tokens() {
    return document.querySelectorAll("#token-strip .hs-token");
  }

  function clearShades() {
    tokens().forEach(function (token) {
      token.style.removeProperty("--look");
      token.classList.remove("hs-token-from");
      token.removeAttribute("data-look");
    });
  }

  function shadeFrom(token) {
    clearShades();
    const row = pattern && pattern.rows[Number(token.dataset.index)];
    if (!row) {
      return;
    }
    token.classList.add("hs-token-from");
    tokens().forEach(function (other, index) {
      if (index <= Number(token.dataset.index)) {
        other.style.setProperty("--look", row[index]);
        if (row[index] >= 0.05) {
          other.dataset.look = Math.round(row[index] * 100) + "%";
        }
      }
    });
  }

  ["mouseover", "focusin"].forEach(function (kind) {
    document.addEventListener(kind, function (event) {
      const token = event.target.closest && event.target.closest(".hs-token");
      if (token) {
        shadeFrom(token);
      }
    });
  });
  ["mouseout", "focusout"].forEach(function (kind) {
    document.addEventListener(kind, function (event) {
      if (event.target.closest && event.target.closest(".hs-token")) {
        clearShades();
      }
    });
  });
})();
