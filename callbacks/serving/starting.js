"use strict";
(function () {
  const EVERY_MS = 500;
  const stage = document.getElementById("stage");
  let theme = null;
  try {
    theme = window.localStorage.getItem("headscope-theme");
  } catch {
    // A browser without storage.
  }
  const dark = theme ? theme === "dark" : window.matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.bsTheme = dark ? "dark" : "light";

  function say(text) {
    if (stage.textContent !== text) {
      stage.textContent = text; // a screen reader reads it once
    }
  }

  function look() {
    window.fetch(window.location.href, { cache: "no-store" }).then(
      function (answer) {
        if (answer.headers.get("X-HeadScope") !== "starting") {
          window.location.reload();
          return;
        }
        answer.text().then(function (text) {
          say(new DOMParser().parseFromString(text, "text/html").getElementById("stage").textContent);
          window.setTimeout(look, EVERY_MS);
        });
      },
      function () {
        say("The server does not answer. Whoever started it sees why.");
        window.setTimeout(look, EVERY_MS);
      }
    );
  }

  window.setTimeout(look, EVERY_MS);
})();
