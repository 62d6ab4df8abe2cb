/* The map of all heads in the browser: keys, the chosen cell, the colours of a view, a role's heads alone, and
   the card that tells of the cell under the pointer. */
(function () {
  "use strict";

  const KEYS = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"];
  const ABLATED = "; ablated"; // as components/live/head_map.py ends a cell's name
  let chosen = null;
  let ablated = null;
  let drawn = null;
  let role = "";
  let others = {}; // what became of other heads' roles without the ablated ones

  function shortName(card) {
    return card.querySelector(".hs-role-name").textContent.split(" (")[0].toLowerCase();
  }

  function cells() {
    return Array.from(document.querySelectorAll("#head-grid .hs-cell"));
  }

  function valueOf(cell) {
    const at = drawn && /^L(\d+)H(\d+)$/.exec(cell.dataset.head);
    const row = at && drawn.values[Number(at[1])];
    return row ? row[Number(at[2])] : null;
  }

  function isEstimate(cell) {
    const at = drawn && drawn.estimated && /^L(\d+)H(\d+)$/.exec(cell.dataset.head);
    return Boolean(at && drawn.estimated[Number(at[1])][Number(at[2])]);
  }

  function paintCells() {
    const grid = document.querySelector("#head-grid .hs-grid");
    if (!grid) {
      return;
    }
    grid.dataset.scale = drawn ? drawn.scale : "";
    cells().forEach(function (cell) {
      const value = valueOf(cell);
      const known = typeof value === "number";
      cell.classList.toggle("hs-cell-unknown", Boolean(drawn) && !known);
      cell.classList.toggle("hs-cell-estimate", known && isEstimate(cell));
      if (known) {
        cell.style.setProperty("--value", Math.min(1, Math.abs(value) / drawn.largest).toFixed(3));
        cell.dataset.sign = value < 0 ? "-" : "+";
      }
    });
  }

  function markCells() {
    if (chosen) {
      cells().forEach(function (cell) {
        const marked = cell.dataset.head === chosen;
        if (cell.classList.contains("hs-cell-chosen") !== marked || cell.tabIndex !== (marked ? 0 : -1)) {
          cell.classList.toggle("hs-cell-chosen", marked);
          cell.setAttribute("aria-pressed", String(marked));
          cell.tabIndex = marked ? 0 : -1;
        }
      });
    }
  }

  function markAblated() {
    if (ablated) {
      cells().forEach(function (cell) {
        const off = ablated.includes(cell.dataset.head);
        if (cell.classList.contains("hs-cell-off") !== off) {
          const name = cell.getAttribute("aria-label");
          cell.classList.toggle("hs-cell-off", off);
          cell.setAttribute("aria-label", off ? name + ABLATED : name.slice(0, -ABLATED.length));
        }
      });
    }
  }

  function filterCells() {
    cells().forEach(function (cell) {
      const has = !role || (cell.dataset.roles || "").split(" ").includes(role);
      cell.classList.toggle("hs-cell-dim", !has);
    });
  }

  // Another prompt draws the cells anew: what the browser did to them stays.
  document.addEventListener("headscope:filled", function (event) {
    if (event.target.id === "head-grid") {
      cells().forEach((cell) => (cell.dataset.choose = cell.dataset.head));
      paintCells();
      markCells();
      markAblated();
      filterCells();
    }
  });

  function isRole(fold) {
    return fold.classList && fold.classList.contains("hs-role-fold");
  }

  // "toggle" does not bubble, so it is caught on its way down.
  document.addEventListener("toggle", function (event) {
    if (!isRole(event.target)) {
      return;
    }
    if (event.target.open) {
      document.querySelectorAll(".hs-role-fold[open]").forEach(function (other) {
        other.open = other === event.target;
      });
    }
    const open = document.querySelector(".hs-role-fold[open]");
    role = open ? open.dataset.filter : "";
    filterCells();
    if (open && open === event.target) {
      open.scrollIntoView({ block: "nearest" });
    }
  }, true);

  document.addEventListener("keydown", function (event) {
    const cell = event.target.closest && event.target.closest(".hs-cell");
    if (!cell || !KEYS.includes(event.key)) {
      return;
    }
    const all = cells();
    const columns = Number(cell.closest(".hs-grid").dataset.columns);
    const here = all.indexOf(cell);
    const column = here % columns;
    let next = here;
    if (event.key === "ArrowLeft" && column > 0) next = here - 1;
    if (event.key === "ArrowRight" && column < columns - 1) next = here + 1;
    if (event.key === "ArrowUp") next = here - columns;
    if (event.key === "ArrowDown") next = here + columns;
    if (event.key === "Home") next = here - column;
    if (event.key === "End") next = here - column + columns - 1;
    event.preventDefault();
    if (next !== here && next >= 0 && next < all.length) {
      all[next].focus();
      all[next].click();
    }
  });

  /* The card beside the cell under the pointer or the focus. */
  function card() {
    let box = document.getElementById("hover-card");
    if (!box) {
      box = document.createElement("div");
      box.id = "hover-card";
      box.className = "hs-hover-card";
      box.setAttribute("aria-hidden", "true"); // the cell's name says the same
      document.body.appendChild(box);
    }
    return box;
  }

  function tell(cell) {
    const box = card();
    const facts = cell.getAttribute("aria-label").split(", ").slice(1).join(", ").split("; ");
    const value = valueOf(cell);
    if (drawn) {
      const digits = drawn.scale === "share" || drawn.unit === "of the difference" || drawn.unit === "logits" ? 2 : 1;
      const guess = isEstimate(cell) ? " (estimate)" : "";
      const shown = typeof value === "number" ? value.toFixed(digits) + guess : "not known";
      facts.unshift(drawn.title + ": " + shown + (drawn.unit ? " " + drawn.unit : ""));
    }
    (others[cell.dataset.head] || []).forEach((text) => facts.push("without the ablated heads: " + text));
    box.replaceChildren();
    [cell.dataset.head].concat(facts).forEach(function (fact, index) {
      const line = document.createElement(index ? "div" : "strong");
      line.textContent = fact;
      box.appendChild(line);
    });
    box.hidden = false;
    const at = cell.getBoundingClientRect();
    const size = box.getBoundingClientRect();
    const right = at.right + 8 + size.width < window.innerWidth;
    box.style.left = Math.max(4, right ? at.right + 8 : at.left - 8 - size.width) + "px";
    box.style.top = Math.max(4, Math.min(at.top, window.innerHeight - size.height - 4)) + "px";
  }

  ["mouseover", "focusin"].forEach(function (kind) {
    document.addEventListener(kind, function (event) {
      const cell = event.target.closest && event.target.closest("#head-grid .hs-cell");
      if (cell && (kind === "mouseover" || cell.matches(":focus-visible"))) {
        tell(cell);
      }
    });
  });
  function hide() {
    card().hidden = true;
  }
  ["mouseout", "focusout"].forEach(function (kind) {
    document.addEventListener(kind, function (event) {
      if (event.target.closest && event.target.closest("#head-grid .hs-cell")) {
        hide();
      }
    });
  });
  document.addEventListener("scroll", () => document.getElementById("hover-card") && hide(), true);

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.headmap = {
    paint: function (values) {
      drawn = values || null;
      paintCells();
      return drawn ? drawn.title : "";
    },
    markChosen: function (head) {
      chosen = head;
      markCells();
      return head || "";
    },
    markAblated: function (heads) {
      ablated = heads || [];
      markAblated();
      return ablated.join(" ");
    },
    tellOthers: function (told) {
      others = told || {};
      document.querySelectorAll(".hs-bar-row[data-choose]").forEach(function (row) {
        const card = row.closest("[data-role]");
        const said = (others[row.dataset.choose] || []).find((text) => card && text.startsWith(shortName(card)));
        row.dataset.now = said ? said.split("→").pop().trim() : "";
      });
      return Object.keys(others).length ? String(Object.keys(others).length) : "";
    },
    // The table of effects belongs to the map of effects.
    followView: function (view, shown) {
      const method = document.getElementById("ablation-mode");
      const maps = { effects: method && method.value === "interchange" ? "recovered" : "effect", direct: "direct" };
      if (maps[view]) {
        return maps[view];
      }
      return ["effect", "recovered", "direct"].includes(shown) ? "role" : window.dash_clientside.no_update;
    },
    followMap: function (shown) {
      const tabs = document.querySelector("#view input[type=radio]:checked");
      const views = { effect: "effects", recovered: "effects", direct: "direct" };
      if (views[shown] && tabs && tabs.value !== views[shown]) {
        window.dash_clientside.set_props("view", { value: views[shown] });
      }
      return shown || "";
    },
  };
})();
