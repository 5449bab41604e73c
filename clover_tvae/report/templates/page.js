(function () {
  "use strict";
  document.querySelectorAll(".search").forEach(function (box) {
    var input = box.querySelector("input"), count = box.querySelector("output");
    var items = document.querySelectorAll("details.column");
    box.hidden = false;
    input.addEventListener("input", function () {
      var wanted = input.value.trim().toLowerCase(), found = 0;
      items.forEach(function (item) {
        var fits = item.dataset.name.indexOf(wanted) >= 0;
        item.hidden = !fits;
        if (fits) { found += 1; }
        if (fits && wanted) { item.open = true; }
      });
      count.textContent = wanted ? found + " of " + items.length + " columns" : "";
    });
  });
  if (location.protocol === "about:") {
    // In a notebook's frame an address such as #privacy is one of the notebook.
    document.addEventListener("click", function (event) {
      var link = event.target.closest("a[href^='#']"), aim = link && document.getElementById(link.getAttribute("href").slice(1));
      if (!aim) { return; }
      event.preventDefault();
      aim.tabIndex = -1;
      aim.focus();
      aim.scrollIntoView();
    });
  }
  var closed = [];
  window.addEventListener("beforeprint", function () {
    document.querySelectorAll("details:not([open]):not(.aside)").forEach(function (item) { closed.push(item); item.open = true; });
  });
  window.addEventListener("afterprint", function () {
    closed.forEach(function (item) { item.open = false; });
    closed = [];
  });
}());
