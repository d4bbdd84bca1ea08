<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="en" sourcelanguage="en">
<context>
    <name>BatchProgress</name>
    <message numerus="yes">
        <source>%n done</source>
        <translation>
            <numerusform>%n done</numerusform>
            <numerusform>%n done</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n skipped</source>
        <translation>
            <numerusform>%n skipped</numerusform>
            <numerusform>%n skipped</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n failed</source>
        <translation>
            <numerusform>%n failed</numerusform>
            <numerusform>%n failed</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n second(s) left</source>
        <translation>
            <numerusform>%n second left</numerusform>
            <numerusform>%n seconds left</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n minute(s) left</source>
        <translation>
            <numerusform>%n minute left</numerusform>
            <numerusform>%n minutes left</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n hour(s) left</source>
        <translation>
            <numerusform>%n hour left</numerusform>
            <numerusform>%n hours left</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>finished, %n failed</source>
        <translation>
            <numerusform>finished, %n failed</numerusform>
            <numerusform>finished, %n failed</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>MainWindow</name>
    <message numerus="yes">
        <source>%n left out, for lying where results go</source>
        <translation>
            <numerusform>%n left out, for lying where results go</numerusform>
            <numerusform>%n left out, for lying where results go</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n photo(s) added</source>
        <translation>
            <numerusform>%n photo added</numerusform>
            <numerusform>%n photos added</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>model {0} {1} on {2}, %n thread(s)</source>
        <translation>
            <numerusform>model {0} {1} on {2}, %n thread</numerusform>
            <numerusform>model {0} {1} on {2}, %n threads</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n photo(s) to do</source>
        <translation>
            <numerusform>%n photo to do</numerusform>
            <numerusform>%n photos to do</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n photo(s) came later: Start does them</source>
        <translation>
            <numerusform>%n photo came later: Start does it</numerusform>
            <numerusform>%n photos came later: Start does them</numerusform>
        </translation>
    </message>
</context>
</TS>
