/* The token strip: shades from the chosen head's pattern, the pinned token, arrow keys. */
(function () {
  "use strict";

  const SAID_FROM = 0.05; // shares below this are shaded and not written
  let pattern = null;
  let pinned = null; // the token whose row is shown while nothing is hovered; null for the last

  function tokens() {
    return Array.from(document.querySelectorAll("#token-strip .hs-token"));
  }

  function rest() {
    const all = tokens();
    return all[pinned === null ? all.length - 1 : pinned];
  }

  function shadeFrom(from) {
    const index = from ? Number(from.dataset.index) : -1;
    const row = pattern && pattern.rows[index];
    tokens().forEach(function (token, at) {
      const share = row && at <= index ? row[at] : 0;
      token.style.setProperty("--look", share || 0);
      token.classList.toggle("hs-token-from", at === index);
      const said = token.querySelector(".hs-token-index");
      if (share >= SAID_FROM) {
        said.dataset.look = Math.round(share * 100) + "%";
      } else {
        said.removeAttribute("data-look");
      }
    });
  }

  function mark() {
    const resting = rest();
    tokens().forEach(function (token) {
      token.tabIndex = token === resting ? 0 : -1;
      token.setAttribute("aria-pressed", String(pinned !== null && token === resting));
    });
    shadeFrom(resting);
  }

  document.addEventListener("headscope:filled", function (event) {
    if (event.target.id === "token-strip") {
      mark();
    }
  });
  ["mouseover", "focusin"].forEach(function (kind) {
    document.addEventListener(kind, function (event) {
      const token = event.target.closest && event.target.closest("#token-strip .hs-token");
      if (token) {
        shadeFrom(token);
      }
    });
  });
  ["mouseout", "focusout"].forEach(function (kind) {
    document.addEventListener(kind, function (event) {
      if (event.target.closest && event.target.closest("#token-strip .hs-token")) {
        shadeFrom(rest());
      }
    });
  });

  // A click pins the token's row and asks for what follows it; a second one goes back to the whole prompt.
  document.addEventListener("click", function (event) {
    const token = event.target.closest && event.target.closest("#token-strip .hs-token");
    if (token) {
      const index = Number(token.dataset.index);
      const whole = index === pinned || index === tokens().length - 1;
      window.dash_clientside.set_props("shown-position", { value: whole ? "last" : String(index) });
    }
  });

  // A token that a head copied from is pointed out in the strip.
  document.addEventListener("click", function (event) {
    const source = event.target.closest && event.target.closest("[data-source]");
    const token = source && tokens()[Number(source.dataset.source)];
    if (token) {
      tokens().forEach((other) => other.classList.toggle("hs-token-source", other === token));
      token.scrollIntoView({ block: "nearest", inline: "center" });
    }
  });

  document.addEventListener("keydown", function (event) {
    const token = event.target.closest && event.target.closest("#token-strip .hs-token");
    const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
    if (!token || !(event.key in steps)) {
      return;
    }
    event.preventDefault();
    const all = tokens();
    const next = Math.min(all.length - 1, Math.max(0, all.indexOf(token) + steps[event.key]));
    all[next].focus();
  });

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.tokens = {
    keepPattern: function (data) {
      pattern = data;
      mark();
      return data ? data.head : "";
    },
    pin: function (position) {
      pinned = /^\d+$/.test(String(position)) ? Number(position) : null;
      mark();
      return pinned === null ? "" : String(pinned);
    },
  };
})();
