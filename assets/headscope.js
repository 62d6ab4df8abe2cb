/* What every page does without asking the server: theme, title, links, and clicks on what Dash did not draw. */
(function () {
  "use strict";

  const THEME_KEY = "headscope-theme";
  let themeClicks = 0;
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
    // The page that stands there, marked in the menu and named in the title. "Live" leads back to what it showed last.
    markPage: function (here, lastLive, links) {
      const addressOf = window.headscopeAddresses.of;
      document.title = "HeadScope";
      document.querySelectorAll(".hs-nav-link").forEach(function (link) {
        if (link.pathname === addressOf(here)) {
          link.setAttribute("aria-current", "page");
          document.title = "HeadScope: " + link.textContent;
        } else {
          link.removeAttribute("aria-current");
        }
      });
      return links.map((link) => addressOf(link.path + (link.path === "/" && here !== "/" ? lastLive || "" : "")));
    },
    showLink: function (query) {
      if (!query) {
        return window.dash_clientside.no_update;
      }
      // Replaced, not pushed: the Back button leaves the page instead of undoing each click. An answer that
      // comes late must not change the address of another page.
      if (window.headscopeAddresses.isHere("/")) {
        window.history.replaceState(window.history.state, "", window.headscopeAddresses.of("/" + query));
      }
      return query;
    },
    showCatalog: function (model, role) {
      if (window.headscopeAddresses.isHere("/catalog") && model && role) {
        const query = new URLSearchParams({ model: model, role: role });
        window.history.replaceState(window.history.state, "", window.headscopeAddresses.of("/catalog?" + query));
      }
      return role;
    },
    copyLink: function () {
      return copyText(window.location.href) ? "Link copied." : "Copy the link from the address bar.";
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
  });

  document.addEventListener("keydown", function (event) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      const run = document.getElementById("run");
      if (run && event.target.id === "prompt") {
        event.preventDefault();
        run.click();
      }
    }
  });


  // Whatever stands for a head chooses it: one listener instead of a request for every cell that is drawn.
  document.addEventListener("click", function (event) {
    const head = event.target.closest && event.target.closest("[data-choose]");
    if (head) {
      window.dash_clientside.set_props("store-selected", { data: head.dataset.choose });
      window.dash_clientside.set_props("store-chosen", { data: head.dataset.choose });
      if (head.dataset.show) {
        window.dash_clientside.set_props("head-view", { value: head.dataset.show });
      }
    }
  });

  // A number that its box does not take reaches the server as none at all: the box says so, and nothing is asked.
  const NUMBERS_OF = { "#lab-run, #lab-another": "#lab-form", "#write": ".hs-controls" };
  document.addEventListener("click", function (event) {
    for (const [buttons, boxes] of Object.entries(NUMBERS_OF)) {
      if (event.target.closest && event.target.closest(buttons)) {
        const wrong = Array.from(document.querySelectorAll(`${boxes} input:invalid`)).find((box) => box.offsetParent);
        if (wrong) {
          event.stopImmediatePropagation();
          wrong.reportValidity();
        }
      }
    }
  }, true);

  // A token of the answer: it is watched, and the heads that write it are listed.
  document.addEventListener("click", function (event) {
    const token = event.target.closest && event.target.closest("[data-watch]");
    if (token) {
      window.dash_clientside.set_props("watched-token", { value: token.dataset.watch.replace(/^·/, " ") });
      window.dash_clientside.set_props("view", { value: "direct" });
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
    }
  });

  document.addEventListener("click", function (event) {
    const button = event.target.closest && event.target.closest("[data-copy]");
    if (button) {
      const copied = copyText(window.location.origin + button.dataset.copy);
      button.nextElementSibling.textContent = copied ? " copied" : " " + window.location.origin + button.dataset.copy;
    }
  });

  // On narrow screens the pages and tools stand behind one button.
  document.addEventListener("click", function (event) {
    const button = document.getElementById("menu-open");
    if (!button || !event.target.closest) {
      return;
    }
    const wanted = Boolean(event.target.closest("#menu-open")) && button.getAttribute("aria-expanded") !== "true";
    const stays = event.target.closest("#menu") && !event.target.closest("#menu a");
    if (!stays) {
      button.setAttribute("aria-expanded", String(wanted));
      document.getElementById("menu").toggleAttribute("data-open", wanted);
    }
  });
})();
